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
from torch.utils._pytree import tree_leaves

Backend = str | Callable[..., Any]


class TraceFailed(Exception):
    """The function can't be traced or compiled, for the reason in the message. Nothing has changed."""


class Traced:
    """`function` traced with these `arguments` and compiled: a call does what it does, and returns what it returns.

    Later arguments must be alike: of these shapes, types and layouts. Without a `backend` the operations run one by
    one. Making it changes none of the tensors in `changed`, all that the function changes; `seconds` is how long it
    took, `trace_seconds` the first part of that.
    """

    def __init__(
        self,
        function: Callable[..., list[Tensor]],
        arguments: Sequence[Tensor],
        changed: Sequence[Tensor],
        backend: Backend | None = "inductor",
    ) -> None:
        began = time.perf_counter()
        with values_kept(changed):
            try:
                with enable_python_dispatcher():  # BatchNorm in a form that owns up to changing its statistics
                    graph = make_fx(function)(*arguments)
                self.trace_seconds = time.perf_counter() - began
                _refuse_randomness(graph)
                _allow_other_layouts(graph)
                self._found = _as_arguments(graph)
                self._run: Callable[..., Any] = graph
                if backend is not None:
                    self._run = _compiled(graph, [*arguments, *self._found], backend)
                self(*arguments)
            except Exception as error:  # whatever a compiler raises: its user goes on without it
                raise TraceFailed(_first_line(error)) from error
        self.seconds = time.perf_counter() - began

    @torch.no_grad()
    def __call__(self, *arguments: Tensor) -> list[Tensor]:
        return list(self._run(*arguments, *self._found))


@torch.no_grad()
def _compiled(graph: torch.fx.GraphModule, examples: list[Tensor], backend: Backend) -> Callable[..., Any]:
    """By the compiler behind torch.compile, which would trace the graph once more to find that it holds no Python."""
    from torch._dynamo.backends.registry import lookup_backend  # imported late: it takes a second
    from torch._inductor import config

    # Numbers are stacked in one kernel, not in one for each: the norms of gradients took a quarter of the article's.
    with config.patch(max_pointwise_cat_inputs=500):
        compiled: Callable[..., Any] = lookup_backend(backend)(graph, examples)
    return compiled


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


def _allow_other_layouts(graph: torch.fx.GraphModule) -> None:
    """A compiler may lay out the result of a convolution in another way than it lay, so that a view must be a copy.

    It can be one where nothing that shares its memory is changed in place later.
    """
    memory: dict[torch.fx.Node, torch.fx.Node] = {}  # of each node the first one that is in the same memory
    holders: dict[int, torch.fx.Node] = {}
    views = dict[torch.fx.Node, torch.fx.Node]()
    for node in graph.graph.nodes:
        memory[node] = node
        if node.op == "get_attr":
            memory[node] = holders.setdefault(getattr(graph, node.target).untyped_storage().data_ptr(), node)
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            continue
        for argument, given in zip(schema.arguments, node.args, strict=False):
            if argument.alias_info is not None:
                places = [memory[each] for each in tree_leaves(given)]
                memory[node] = places[0]
                if argument.alias_info.is_write:
                    views = {view: place for view, place in views.items() if place not in places}
        if node.target is torch.ops.aten.view.default:
            views[node] = memory[node]
    for node in views:
        node.target = torch.ops.aten.reshape.default


def _as_arguments(graph: torch.fx.GraphModule) -> list[Tensor]:
    """Makes further arguments of the tensors that the graph holds, and returns them: the step changes them in place.

    Detached, since a leaf of autograd is not changed in place.
    """
    found: dict[str, torch.fx.Node] = {}
    values = []
    last = [node for node in graph.graph.nodes if node.op == "placeholder"][-1]
    for node in [node for node in graph.graph.nodes if node.op == "get_attr"]:
        if node.target not in found:
            with graph.graph.inserting_after(last):
                last = found[node.target] = graph.graph.placeholder(node.name)
            values.append(getattr(graph, node.target).detach())
        node.replace_all_uses_with(found[node.target])
        graph.graph.erase_node(node)
    graph.recompile()
    return values


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
