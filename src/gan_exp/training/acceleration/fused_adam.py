"""A fused Adam update without the bookkeeping of `Optimizer.step`."""

from collections.abc import Callable

import torch
from torch import Tensor

from gan_exp.optimizers import KerasAdam

# The options of a parameter group that this file computes. Any other one that is set changes the formula.
KNOWN_OPTIONS = {"params", "lr", "betas", "eps", "weight_decay", "maximize", "fused"}
BOOKKEEPING = {"keras_eps", "updates", "initial_lr", "initial_betas"}  # set by KerasAdam and by the schedules


def fused_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """A replacement for `optimizer.step` that collects the tensors of a fused Adam once; `optimizer.step` for others.

    Every gradient must be written into the same `.grad` tensor, and the optimizer's state must not be loaded later.
    """
    if type(optimizer) not in (torch.optim.Adam, KerasAdam) or len(optimizer.param_groups) != 1:
        return optimizer.step
    (group,) = optimizer.param_groups
    others = [value for key, value in group.items() if key not in KNOWN_OPTIONS | BOOKKEEPING]
    if (
        not group["fused"]
        or any(others)
        or any(isinstance(number, Tensor) for number in (group["lr"], *group["betas"]))
    ):
        return optimizer.step
    return _FusedAdam(optimizer)


class _FusedAdam:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._group = optimizer.param_groups[0]
        self._tensors: list[list[Tensor]] | None = None

    def __call__(self) -> None:
        if self._tensors is None:  # the optimizer creates its moments in its first step
            if not self._optimizer.state:
                self._optimizer.step()
                return
            self._tensors = self._collect_tensors()
        if isinstance(self._optimizer, KerasAdam):
            self._optimizer.advance()
        group = self._group
        beta1, beta2 = group["betas"]
        self._steps.add_(1)
        torch._fused_adam_(
            *self._tensors,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
        )

    def _collect_tensors(self) -> list[list[Tensor]]:
        """Parameters, gradients, first and second moments, an empty list for AMSGrad's, and the step counts.

        The step counts become views of one tensor, so that one addition advances them all.
        """
        parameters = self._group["params"]
        states = [self._optimizer.state[parameter] for parameter in parameters]
        self._steps = torch.stack([state["step"] for state in states])
        for state, step in zip(states, self._steps, strict=True):
            state["step"] = step
        gradients = [parameter.grad for parameter in parameters]
        moments = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
        return [parameters, gradients, *moments, [], list(self._steps)]
