"""A function as one list of operations, its derivatives and updates included, which a compiler makes few kernels of.

Tensors that it reads and changes are found by their addresses, as by a CUDA graph. Python's decisions and numbers are
those of the tracing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch.fx.experimental.proxy_tensor import make_fx

Backend = str | Callable[..., Any]


class TraceFailed(Exception):
    """The function can't be traced or compiled, for the reason in the message. Nothing has changed."""


class Traced:
    """`function` traced and compiled: a call does what it does, and returns what it returns.

    Without a `backend` the operations run one by one. Making it changes none of the tensors in `changed`, all that the
    function changes; `seconds` is how long it took.
    """

    def __init__(
        self, function: Callable[[], list[Tensor]], changed: Sequence[Tensor], backend: Backend | None = "inductor"
    ) -> None:
        began = time.perf_counter()
        self._nothing = torch.zeros((), device=changed[0].device)  # there is no trace without an input
        with values_kept(changed):
            try:
                with enable_python_dispatcher():  # BatchNorm in a form that owns up to changing its statistics
                    graph = make_fx(lambda zero: function())(self._nothing)
                _refuse_randomness(graph)
                _detach_weights(graph)
                self._run: Callable[[Tensor], Any] = graph
                if backend is not None:
                    self._run = torch.compile(graph, backend=backend, fullgraph=True, dynamic=False)
                self()  # compiles
            except Exception as error:  # whatever a compiler raises: its user goes on without it
                raise TraceFailed(_first_line(error)) from error
        self.seconds = time.perf_counter() - began

    @torch.no_grad()
    def __call__(self) -> list[Tensor]:
        found: list[Tensor] = list(self._run(self._nothing))
        return found


@contextmanager
def values_kept(tensors: Sequence[Tensor]) -> Iterator[None]:
    """However the block changes them, they have their present values after it."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


def _refuse_randomness(graph: torch.fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise TraceFailed("it draws random numbers on the device")


def _detach_weights(graph: torch.fx.GraphModule) -> None:
    """They are changed in place, which a leaf of autograd is not for."""
    for node in graph.graph.nodes:
        if node.op == "get_attr" and isinstance(value := getattr(graph, node.target), Tensor):
            delattr(graph, node.target)
            setattr(graph, node.target, value.detach())


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
