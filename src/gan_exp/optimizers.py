"""Optimizers that torch.optim does not have."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from gan_exp.ranges import Fraction, PositiveFloat


class KerasAdam(torch.optim.Adam):
    """Adam as Keras computes it: the second form of Kingma and Ba 2015, "Adam", end of section 2.

    torch adds epsilon after the bias correction of the second moment, Keras before it. Keras' epsilon therefore acts
    like torch's divided by sqrt(1 - beta2^t), thirty times larger at the first step with beta2 = 0.999.
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
        """Set epsilon for the next update, or for the last of `updates` that a CUDA graph replayed."""
        for group in self.param_groups:
            group["updates"] += updates
            group["eps"] = group["keras_eps"] / math.sqrt(1.0 - group["betas"][1] ** group["updates"])
