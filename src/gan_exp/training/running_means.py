"""Means of the steps' numbers, which are summed on the device and read only when they are logged."""

from typing import Any

import torch
from torch import Tensor

from gan_exp.diagnosis.finite import LARGEST
from gan_exp.runtime.transfer import send
from gan_exp.training.gradient_norms import GradientNorms
from gan_exp.training.step_types import DiscriminatorReport, StepReport

# Steps are summed together: one by one, the small operations would take 2 % of an MLP's step on a CPU, and more kernels
# than a captured step has on a GPU.
BLOCK = 50


class RunningMeans:
    """Means over all updates since the last `read`."""

    def __init__(
        self,
        device: torch.device,
        penalty_name: str | None,
        boundary: float | None = 0.0,
        auxiliary_name: str | None = None,
    ) -> None:
        self.tags = ["loss/discriminator", "accuracy/real", "accuracy/fake"]
        self._boundary = boundary
        self._penalty_tag = None if penalty_name is None else f"penalty/{penalty_name}"
        self._waiting: list[StepReport] = []  # not summed yet
        self._discriminator = torch.zeros(len(self.tags), device=device)
        self._generator = torch.zeros((), device=device)
        self._auxiliary_tag = None if auxiliary_name is None else f"loss/{auxiliary_name}"
        self._auxiliary = torch.zeros((), device=device)
        self._penalty = torch.zeros((), device=device)
        self._discriminator_updates = 0
        self._generator_updates = 0
        self._penalties = 0  # updates with a penalty; a lazy one is not in each
        self._finite_steps = torch.zeros((), device=device)  # before the first one with a number that is not finite
        self._norms = {name: GradientNorms(device) for name in ("discriminator", "generator")}

    def add(self, report: StepReport) -> None:
        """The report's tensors are kept for some steps, and must not be changed meanwhile."""
        self._waiting.append(report)
        if len(self._waiting) == BLOCK:
            self._sum()

    def _sum(self) -> None:
        """Add the waiting steps to the sums.

        D classifies an image as real if its logit is above the loss's boundary (0: a probability above one half). A
        boundary of None is replaced by the middle between the batch's two mean logits.
        """
        if not self._waiting:
            return
        steps, self._waiting = self._waiting, []
        block = _pack(steps)
        self._finite_steps = self._finite_with(block)
        real_logits, fake_logits = block["real_logits"], block["fake_logits"]
        boundary: float | Tensor | None = self._boundary
        if boundary is None:
            boundary = (real_logits.mean(1, keepdim=True) + fake_logits.mean(1, keepdim=True)) / 2
        correct = [(real_logits > boundary).float().mean(1).sum(), (fake_logits <= boundary).float().mean(1).sum()]
        if block["penalties"] is not None:
            self._penalty += block["penalties"].sum()
            self._penalties += len(block["penalties"])
        if block["auxiliaries"] is not None:
            self._auxiliary += block["auxiliaries"].sum()
        self._discriminator += torch.stack([block["losses"].sum(), *correct])
        self._generator += block["generator_losses"].sum()
        self._discriminator_updates += len(real_logits)
        self._generator_updates += len(steps)
        norms = self._norms["discriminator"]
        norms.add(block["penalised"], block["discriminator_measured"], block["discriminator_norms"])
        norms = self._norms["generator"]
        norms.add([False] * len(steps), block["generator_measured"], block["generator_norms"])

    def _finite_with(self, block: dict[str, Any]) -> Tensor:
        """The number of steps [] before the first with a number that is not finite, with those of `block`."""
        new = _finite(block).cumprod(0).sum()
        return self._finite_steps + new * (self._finite_steps == self._generator_updates)

    @property
    def broken_steps(self) -> int:
        """The number of steps from the first on whose losses or gradients were not finite or exceed `LARGEST`.

        Waits for the device. The sums are not changed, so it can be read at any time.
        """
        finite_steps = self._finite_with(_pack(self._waiting)) if self._waiting else self._finite_steps
        return self._generator_updates + len(self._waiting) - int(finite_steps.item())

    def read(self) -> dict[str, float]:
        """The means by TensorBoard tag; the sums start again from zero."""
        self._sum()
        means = (self._discriminator / max(1, self._discriminator_updates)).tolist()
        metrics = dict(zip(self.tags, means, strict=True))
        metrics["loss/generator"] = (self._generator / max(1, self._generator_updates)).item()
        metrics["accuracy/discriminator"] = (metrics["accuracy/real"] + metrics["accuracy/fake"]) / 2
        if self._penalty_tag is not None and self._penalties:
            metrics[self._penalty_tag] = (self._penalty / self._penalties).item()
        if self._auxiliary_tag is not None:
            metrics[self._auxiliary_tag] = (self._auxiliary / max(1, self._discriminator_updates)).item()
        for name, norms in self._norms.items():
            metrics |= norms.read(name)
        for total in (self._discriminator, self._generator, self._penalty, self._auxiliary, self._finite_steps):
            total.zero_()
        self._discriminator_updates = self._generator_updates = self._penalties = 0
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Steps that are not summed yet are kept apart, so that a resumed run adds numbers in the same order."""
        return {
            "discriminator": self._discriminator.clone(),
            "generator": self._generator.clone(),
            "penalty": self._penalty.clone(),
            "auxiliary": self._auxiliary.clone(),
            "discriminator_updates": self._discriminator_updates,
            "generator_updates": self._generator_updates,
            "penalties": self._penalties,
            "gradient_norms": {name: norms.state_dict() for name, norms in self._norms.items()},
            "waiting": _pack(self._waiting) if self._waiting else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._discriminator.copy_(state["discriminator"])
        self._generator.copy_(state["generator"])
        self._penalty.copy_(state["penalty"])
        self._auxiliary.copy_(state.get("auxiliary", torch.zeros(())))  # older checkpoints have none
        self._discriminator_updates = state["discriminator_updates"]
        self._generator_updates = state["generator_updates"]
        self._penalties = state["penalties"]
        for name, norms in state.get("gradient_norms", {}).items():  # older checkpoints have none
            self._norms[name].load_state_dict(norms)
        self._waiting = _unpack(state.get("waiting"), self._generator.device)  # older ones have none
        self._finite_steps.fill_(self._generator_updates)  # a checkpoint has finite numbers only


def _finite(block: dict[str, Any]) -> Tensor:
    """For each of the steps [S], whether its losses, penalties and norms are finite and at most `LARGEST`."""
    steps, each = block["losses"].shape
    losses = torch.cat([block["losses"], block["generator_losses"].unsqueeze(1)], dim=1)
    if block["auxiliaries"] is not None:  # of all updates, or of none
        losses = torch.cat([losses, block["auxiliaries"].view(steps, each)], dim=1)
    finite: Tensor = (losses.abs() <= LARGEST).all(1)  # False for NaN
    for flags, name, count in (
        ("penalised", "penalties", each),
        ("discriminator_measured", "discriminator_norms", each),
        ("generator_measured", "generator_norms", 1),
    ):
        values = block[name]
        if values is not None:
            of_steps = torch.tensor([k // count for k, there in enumerate(block[flags]) if there])
            broken = ~(values.view(len(values), -1) <= LARGEST).all(1)
            none = torch.zeros(steps, dtype=torch.float32, device=values.device)
            finite &= none.index_add(0, send(of_steps, values.device), broken.float()) == 0
    return finite


def _pack(steps: list[StepReport]) -> dict[str, Any]:
    """S steps with K updates of D each in a few tensors, since each tensor takes space in the checkpoint's archive.

    `losses` [S, K], `generator_losses` [S], `real_logits` and `fake_logits` [S K, N], which updates are
    `penalised`, and their `penalties`, None if there are none; likewise the `auxiliaries`, D's own losses. The norms of
    the M updates whose gradients were `measured` are [M, 1 or 2] for D and [M] for G, None if there are none.
    """
    updates = [update for step in steps for update in step.discriminator]
    return {
        "losses": torch.stack([update.loss for update in updates]).view(len(steps), -1),
        "generator_losses": torch.stack([step.generator_loss for step in steps]),
        "real_logits": torch.stack([update.real_logits for update in updates]),
        "fake_logits": torch.stack([update.fake_logits for update in updates]),
        "penalised": [update.penalty is not None for update in updates],
        "penalties": _stack_some([update.penalty for update in updates]),
        "auxiliaries": _stack_some([update.auxiliary for update in updates]),
        "discriminator_measured": [update.gradient_norms is not None for update in updates],
        "discriminator_norms": _stack_some([update.gradient_norms for update in updates]),
        "generator_measured": [step.generator_gradient_norm is not None for step in steps],
        "generator_norms": _stack_some([step.generator_gradient_norm for step in steps]),
    }


def _stack_some(tensors: list[Tensor | None]) -> Tensor | None:
    """Stack those that are not None; None if all are."""
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(present) if present else None


def _unpack(packed: dict[str, Any] | None, device: torch.device) -> list[StepReport]:
    if packed is None:
        return []
    tensors = {name: value.to(device) for name, value in packed.items() if isinstance(value, Tensor)}

    def unstack(name: str, flags: str, count: int) -> list[Tensor | None]:
        """The inverse of `_stack_some`; older checkpoints have no norms."""
        rows = iter(tensors.get(name, ()))
        return [next(rows) if flag else None for flag in packed.get(flags, [False] * count)]

    steps, each = tensors["losses"].shape
    updates = map(
        DiscriminatorReport,
        tensors["losses"].flatten(),
        unstack("penalties", "penalised", steps * each),
        tensors["real_logits"],
        tensors["fake_logits"],
        tensors.get("auxiliaries", [None] * (steps * each)),
        unstack("discriminator_norms", "discriminator_measured", steps * each),
    )
    norms = unstack("generator_norms", "generator_measured", steps)
    return [
        StepReport([next(updates) for _ in range(each)], loss, norm)
        for loss, norm in zip(tensors["generator_losses"], norms, strict=True)
    ]
