"""Optimizers that torch.optim does not have."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from gan_exp.ranges import Fraction, PositiveFloat


class KerasAdam(torch.optim.Adam):
    """Adam as Keras and the second form of Kingma and Ba 2015 (end of section 2) compute it.

    torch adds epsilon after the second moment's bias is corrected, Keras before: its epsilon acts like torch's divided
    by sqrt(1 - beta2^t), thirty times larger at the first step with beta2 = 0.999.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: PositiveFloat = 1e-3,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        eps: PositiveFloat = 1e-7,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=fused)
        for group in self.param_groups:
            group.update(keras_eps=eps, updates=0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        self.advance()
        return super().step(closure)

    def advance(self, updates: int = 1) -> None:
        """The epsilon of the update to come, or of the last of so many that a CUDA graph played."""
        for group in self.param_groups:
            group["updates"] += updates
            group["eps"] = group["keras_eps"] / math.sqrt(1.0 - group["betas"][1] ** group["updates"])


# Of a group of Adam's parameters. What else is set there has another formula, or one that isn't known here.
QUICK_OPTIONS = {"params", "lr", "betas", "eps", "weight_decay", "maximize", "fused"}
BOOKKEEPING = {"keras_eps", "updates", "initial_lr", "initial_betas"}  # of ours


def quick_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """`optimizer.step`, which for a fused Adam looks nothing up that stays the same: parameters, gradients, moments.

    For gradients that are always written into the same `.grad`. The optimizer may be loaded before, not after.
    """
    if type(optimizer) not in (torch.optim.Adam, KerasAdam) or len(optimizer.param_groups) != 1:
        return optimizer.step
    (group,) = optimizer.param_groups
    others = [value for key, value in group.items() if key not in QUICK_OPTIONS | BOOKKEEPING]
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
        if self._tensors is None:  # the optimizer makes its moments in its first step
            if not self._optimizer.state:
                self._optimizer.step()
                return
            self._tensors = self._found()
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

    def _found(self) -> list[list[Tensor]]:
        """Parameters, gradients, first and second moments, none of AMSGrad's, and the numbers of steps.

        The latter become parts of one tensor, so that one addition counts them all.
        """
        parameters = self._group["params"]
        states = [self._optimizer.state[parameter] for parameter in parameters]
        self._steps = torch.stack([state["step"] for state in states])
        for state, step in zip(states, self._steps, strict=True):
            state["step"] = step
        gradients = [parameter.grad for parameter in parameters]
        moments = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
        return [parameters, gradients, *moments, [], list(self._steps)]
