"""The step's numbers, summed on the device and read only when they are to be looked at."""

from typing import Any

import torch
from torch import Tensor

from gan_exp.diagnosis.finite import LARGEST
from gan_exp.training.gradient_norms import GradientNorms
from gan_exp.training.step import DiscriminatorReport, StepReport

BLOCK = 50  # steps whose numbers are summed together: one by one, the small operations would take 2 % of an MLP's step


class RunningMeans:
    """Means over all updates since the last `read`, not the one noisy step at which someone looked."""

    def __init__(self, device: torch.device, penalty_name: str | None, boundary: float | None = 0.0) -> None:
        self.tags = ["loss/discriminator", "accuracy/real", "accuracy/fake"]
        self._boundary = boundary
        self._penalty_tag = None if penalty_name is None else f"penalty/{penalty_name}"
        self._waiting: list[StepReport] = []  # not summed yet
        self._discriminator = torch.zeros(len(self.tags), device=device)
        self._generator = torch.zeros((), device=device)
        self._penalty = torch.zeros((), device=device)
        self._discriminator_updates = 0
        self._generator_updates = 0
        self._penalties = 0  # a lazy penalty is not there in each update
        self._finite_steps = torch.zeros((), device=device)  # before the first that was broken
        self._norms = {name: GradientNorms(device) for name in ("discriminator", "generator")}

    def add(self, report: StepReport) -> None:
        """The tensors are kept for a while, and must stay as they are."""
        self._waiting.append(report)
        if len(self._waiting) == BLOCK:
            self._sum()

    def _sum(self) -> None:
        """An image is taken for real when its logit is above the loss's boundary (0: a probability above one half).

        Where the loss gives logits no such point (None), it is the middle between the batch's two means.
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
        right = [(real_logits > boundary).float().mean(1).sum(), (fake_logits <= boundary).float().mean(1).sum()]
        if block["penalties"] is not None:
            self._penalty += block["penalties"].sum()
            self._penalties += len(block["penalties"])
        self._discriminator += torch.stack([block["losses"].sum(), *right])
        self._generator += block["generator_losses"].sum()
        self._discriminator_updates += len(real_logits)
        self._generator_updates += len(steps)
        norms = self._norms["discriminator"]
        norms.add(block["penalised"], block["discriminator_measured"], block["discriminator_norms"])
        norms = self._norms["generator"]
        norms.add([False] * len(steps), block["generator_measured"], block["generator_norms"])

    def _finite_with(self, block: dict[str, Any]) -> Tensor:
        """How many steps [] came before the first that was broken, those of `block` among them."""
        new = _finite(block).cumprod(0).sum()
        return self._finite_steps + new * (self._finite_steps == self._generator_updates)

    @property
    def broken_steps(self) -> int:
        """How many of the steps came after one whose losses or gradients were not finite or absurdly large.

        That one is counted too. Waits for the device. Nothing is added up, so that it may be asked at any time.
        """
        sound = self._finite_with(_pack(self._waiting)) if self._waiting else self._finite_steps
        return self._generator_updates + len(self._waiting) - int(sound.item())

    def read(self) -> dict[str, float]:
        """The means, by TensorBoard tag; then the window begins anew."""
        self._sum()
        means = (self._discriminator / max(1, self._discriminator_updates)).tolist()
        metrics = dict(zip(self.tags, means, strict=True))
        metrics["loss/generator"] = (self._generator / max(1, self._generator_updates)).item()
        metrics["accuracy/discriminator"] = (metrics["accuracy/real"] + metrics["accuracy/fake"]) / 2
        if self._penalty_tag is not None and self._penalties:
            metrics[self._penalty_tag] = (self._penalty / self._penalties).item()
        for name, norms in self._norms.items():
            metrics |= norms.read(name)
        for total in (self._discriminator, self._generator, self._penalty, self._finite_steps):
            total.zero_()
        self._discriminator_updates = self._generator_updates = self._penalties = 0
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """The steps that are not summed yet as they are, so that a resumed run adds up in the same order."""
        return {
            "discriminator": self._discriminator.clone(),
            "generator": self._generator.clone(),
            "penalty": self._penalty.clone(),
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
        self._discriminator_updates = state["discriminator_updates"]
        self._generator_updates = state["generator_updates"]
        self._penalties = state["penalties"]
        for name, norms in state.get("gradient_norms", {}).items():  # checkpoints of before have none
            self._norms[name].load_state_dict(norms)
        self._waiting = _unpack(state.get("waiting"), self._generator.device)  # nor these
        self._finite_steps.fill_(self._generator_updates)  # or there would be no checkpoint


def _finite(block: dict[str, Any]) -> Tensor:
    """Of which steps [S] losses, penalties and norms are finite and not absurdly large."""
    steps, each = block["losses"].shape
    losses = torch.cat([block["losses"], block["generator_losses"].unsqueeze(1)], dim=1)
    sound: Tensor = (losses.abs() <= LARGEST).all(1)  # a NaN is not
    for flags, name, count in (
        ("penalised", "penalties", each),
        ("discriminator_measured", "discriminator_norms", each),
        ("generator_measured", "generator_norms", 1),
    ):
        values = block[name]
        if values is not None:
            of_steps = torch.tensor([k // count for k, there in enumerate(block[flags]) if there], device=values.device)
            broken = ~(values.view(len(values), -1) <= LARGEST).all(1)
            sound &= torch.zeros(steps, device=values.device).index_add(0, of_steps, broken.float()) == 0
    return sound


def _pack(steps: list[StepReport]) -> dict[str, Any]:
    """S steps of K updates of D each in a few tensors: each is a part of its own in the checkpoint's archive.

    `losses` [S, K], `generator_losses` [S], `real_logits` and `fake_logits` [S K, N], which updates are
    `penalised`, and their `penalties`, None without any. Of the M updates of a network whose gradients were `measured`
    the norms: [M, 1 or 2] of D's, [M] of G's, None without any.
    """
    updates = [update for step in steps for update in step.discriminator]
    return {
        "losses": torch.stack([update.loss for update in updates]).view(len(steps), -1),
        "generator_losses": torch.stack([step.generator_loss for step in steps]),
        "real_logits": torch.stack([update.real_logits for update in updates]),
        "fake_logits": torch.stack([update.fake_logits for update in updates]),
        "penalised": [update.penalty is not None for update in updates],
        "penalties": _stack_some([update.penalty for update in updates]),
        "discriminator_measured": [update.gradient_norms is not None for update in updates],
        "discriminator_norms": _stack_some([update.gradient_norms for update in updates]),
        "generator_measured": [step.generator_gradient_norm is not None for step in steps],
        "generator_norms": _stack_some([step.generator_gradient_norm for step in steps]),
    }


def _stack_some(tensors: list[Tensor | None]) -> Tensor | None:
    """Those that are there, None where none is."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(there) if there else None


def _unpack(packed: dict[str, Any] | None, device: torch.device) -> list[StepReport]:
    if packed is None:
        return []
    there = {name: value.to(device) for name, value in packed.items() if isinstance(value, Tensor)}

    def spread(tensors: str, flags: str, count: int) -> list[Tensor | None]:
        """The inverse of `_stack_some`; checkpoints of before have no norms."""
        waiting = iter(there.get(tensors, ()))
        return [next(waiting) if flag else None for flag in packed.get(flags, [False] * count)]

    steps, each = there["losses"].shape
    updates = map(
        DiscriminatorReport,
        there["losses"].flatten(),
        spread("penalties", "penalised", steps * each),
        there["real_logits"],
        there["fake_logits"],
        spread("discriminator_norms", "discriminator_measured", steps * each),
    )
    norms = spread("generator_norms", "generator_measured", steps)
    return [
        StepReport([next(updates) for _ in range(each)], loss, norm)
        for loss, norm in zip(there["generator_losses"], norms, strict=True)
    ]
