"""PyTorch's optimizers without its compiler, torch._dynamo, which their first use imports: over a second and 150 MB."""

import functools
import inspect
import sys
from typing import Any

import torch
from torch.optim import Optimizer

COMPILER = "torch._dynamo"


def leave_compiler_out(kind: type[Optimizer]) -> None:
    """Let optimizers of this kind be built and used without an import of the compiler.

    Some methods of torch.optim are decorated to stand aside while torch.compile traces a program. Their decorators,
    which import the compiler, are taken off; what they do beside that stays: `step` computes without gradients, unless
    the optimizer is `differentiable`. Where the compiler is there already nothing is changed.
    """
    if COMPILER in sys.modules:
        return
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        setattr(Optimizer, name, inspect.unwrap(getattr(Optimizer, name)))
    for base in kind.__mro__:
        if base is not Optimizer and base.__module__.startswith("torch.optim.") and "step" in vars(base):
            base.step = _with_gradients_as_asked(inspect.unwrap(base.step))  # type: ignore[attr-defined]


def _with_gradients_as_asked(step: Any) -> Any:
    @functools.wraps(step)
    def with_gradients_as_asked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return with_gradients_as_asked
