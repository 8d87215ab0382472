"""Optimizer updates whose changing numbers lie on the device, as a captured step needs them.

A CUDA graph repeats its kernels with the numbers that they were recorded with. So the learning rate, the number of
updates and a scheduled beta2 are read from device memory here; the optimizer itself, its state and its `state_dict`
stay as they are without a graph.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gan_exp.optimizers import KerasAdam
from gan_exp.training.acceleration.fused_adam import BOOKKEEPING

# The options of a parameter group that the Adam update written out below uses, or can ignore.
WRITTEN_OUT_OPTIONS = {"params", "lr", "betas", "eps", "weight_decay", "decoupled_weight_decay"}
WRITTEN_OUT_OPTIONS |= {"foreach", "fused", "capturable"}
CAPTURABLE = (
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.RMSprop,
)  # by torch itself, with `capturable`


def unfit(optimizer: torch.optim.Optimizer, beta2_scheduled: bool) -> str | None:
    """The reason why its updates can't be captured, None if they can."""
    kind = type(optimizer)
    for group in optimizer.param_groups:
        if kind is torch.optim.SGD and group["fused"]:
            continue
        if kind is not KerasAdam and kind not in CAPTURABLE:
            name = "an SGD that is not fused" if kind is torch.optim.SGD else kind.__name__
            return f"{name} reads numbers back from the GPU"
        others = [key for key, value in group.items() if value and key not in WRITTEN_OUT_OPTIONS | BOOKKEEPING]
        if others and (kind is KerasAdam or (beta2_scheduled and "betas" in group)):
            return f"{others[0]} has no form with a scheduled beta2 on the GPU"
    return None


class OnDevice:
    """The updates of `optimizer`; `refresh` copies the present lr and beta2 of its groups to the device.

    Equal to `optimizer.step()` up to rounding (the learning rate is a float32 here). `written_out`: Adam's update as
    single operations, which a compiler fuses with those around it.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, beta2_scheduled: bool, written_out: bool = False
    ) -> None:
        self.optimizer, self._written_out = optimizer, written_out
        self.updates = 0  # the user of this class sets it back to zero
        self._state = optimizer.state  # loading a checkpoint replaces it
        groups = optimizer.param_groups
        self._lr = [DeviceNumber(device) for _ in groups]
        self._beta2 = [DeviceNumber(device) if beta2_scheduled and "betas" in group else None for group in groups]
        self._betas = [group.get("betas") for group in groups]
        self._infinite = torch.full((), float("inf"), device=device)
        for state in optimizer.state.values():
            if "step" in state:  # on the CPU where the optimizer was neither fused nor captured
                state["step"] = state["step"].to(device, torch.float32)
        # torch would warn of the steps before the capture, which use the capturable form too.
        optimizer._warned_capturable_if_run_uncaptured = True

    @property
    def stale(self) -> bool:
        """Whether the captured tensors are no longer the optimizer's."""
        return self.optimizer.state is not self._state

    def refresh(self) -> None:
        for group, lr, beta2, betas in zip(
            self.optimizer.param_groups, self._lr, self._beta2, self._betas, strict=True
        ):
            lr.set(group["lr"])
            if beta2 is not None:
                beta2.set(group["betas"][1])
            elif group.get("betas") != betas:
                raise ValueError(f"betas={group['betas']}: changed from {betas}, which was not announced")

    def zero_grad(self, set_to_none: bool = True) -> None:
        if not set_to_none:
            self.optimizer.zero_grad(set_to_none)
            return
        for group in self.optimizer.param_groups:  # without the profiler's notes, which no trace can hold
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def make_state(self) -> None:
        """Make now what the optimizer makes at the first update: a trace changes only what is there before it."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
            self._tensors(group)
        self.zero_grad()

    def drop_unused_state(self) -> None:
        """Of parameters that have no gradient, for which the optimizer would have made none."""
        for parameter in [key for key in self.optimizer.state if key.grad is None]:
            if not self.optimizer.state[parameter]["step"]:
                del self.optimizer.state[parameter]

    def step(self) -> None:
        self.updates += 1
        if self._written_out or any(self._beta2) or isinstance(self.optimizer, KerasAdam):
            for group, lr, beta2 in zip(self.optimizer.param_groups, self._lr, self._beta2, strict=True):
                self._adam(group, lr.value, None if beta2 is None else beta2.value)
        else:
            with self._tensors_in_groups():
                self.optimizer.step()

    @contextmanager
    def _tensors_in_groups(self) -> Iterator[None]:
        """Put into the groups what torch's own capturable implementations expect there."""
        groups = self.optimizer.param_groups
        plain: list[dict[str, Any]] = [
            {key: group[key] for key in ("lr", "capturable", "foreach") if key in group} for group in groups
        ]
        try:
            for group, lr in zip(groups, self._lr, strict=True):
                group["lr"] = lr.value
                if "capturable" in group:
                    group["capturable"] = True
                if not group.get("fused"):
                    group["foreach"] = True  # the loop over parameters would read the learning rate back
            yield
        finally:
            for group, values in zip(groups, plain, strict=True):
                group.update(values)

    @torch.no_grad()
    def _adam(self, group: dict[str, Any], lr: Tensor, beta2: Tensor | None) -> None:
        """theta -= alpha m / (sqrt(v) + e) with alpha = lr sqrt(1 - beta2^t) / (1 - beta1^t).

        Kingma and Ba 2015, the end of section 2. e is epsilon itself for Keras, epsilon sqrt(1 - beta2^t) for torch.
        """
        params, grads, means, squares, steps = self._tensors(group)
        if not params:
            return
        beta1, fixed_beta2 = group["betas"]
        decay = group["weight_decay"]
        if decay and group["decoupled_weight_decay"]:
            torch._foreach_mul_(params, 1 - lr * decay)
        elif decay:
            grads = list(torch._foreach_add(grads, params, alpha=decay))
        torch._foreach_add_(steps, 1)
        # In float64, or 1 - 0.999^t would lose four digits; t is the same for all.
        t = steps[0].double()
        root = (1 - (fixed_beta2 if beta2 is None else beta2.double()) ** t).sqrt()
        alpha = (lr.double() * root / (1 - beta1**t)).float()
        if beta2 is None and not self._written_out:
            # For an infinite step count torch's bias corrections are 1, and its epsilon acts as Keras's does.
            torch._fused_adam_(
                params, grads, means, squares, [], [self._infinite] * len(params),
                lr=alpha, beta1=beta1, beta2=fixed_beta2, weight_decay=0.0, eps=group["keras_eps"],
                amsgrad=False, maximize=False,
            )  # fmt: skip
            return
        torch._foreach_lerp_(means, grads, 1 - beta1)
        number = fixed_beta2 if beta2 is None else beta2
        torch._foreach_mul_(squares, number)
        torch._foreach_addcmul_(squares, torch._foreach_mul(grads, 1 - number), grads)
        roots = torch._foreach_sqrt(squares)
        if isinstance(self.optimizer, KerasAdam):
            torch._foreach_add_(roots, group["keras_eps"])
        else:
            # Without `alpha` torch would read the tensor back from the GPU as a number.
            torch._foreach_add_(roots, (group["eps"] * root).float(), alpha=1)
        changes = torch._foreach_div(means, roots)
        torch._foreach_mul_(changes, alpha)
        torch._foreach_sub_(params, changes)

    def _tensors(self, group: dict[str, Any]) -> tuple[list[Tensor], ...]:
        """Parameters with gradients, the gradients, both moments and the step counts; creates missing state."""
        found: tuple[list[Tensor], ...] = ([], [], [], [], [], [])
        device_steps = {**group, "capturable": True}
        self.optimizer._init_group(device_steps, *found)  # type: ignore[attr-defined]
        params, grads, means, squares, _, steps = found
        return params, grads, means, squares, steps


class DeviceNumber:
    """A number [] on the device, written only when it changes."""

    def __init__(self, device: torch.device) -> None:
        self.value = torch.zeros((), device=device)
        self._known: float | None = None

    def set(self, number: float) -> None:
        if number != self._known:
            self.value.fill_(number)
            self._known = number
