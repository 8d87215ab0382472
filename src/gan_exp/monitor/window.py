"""The step's numbers, summed on the device and read only when they are to be looked at."""

from typing import Any

import torch
from torch import Tensor, nn

from gan_exp.step import DiscriminatorReport, StepReport

BLOCK = 50  # steps whose numbers are summed together: one by one, the small operations would take 2 % of an MLP's step


class Window:
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
        self._sound_steps = torch.zeros((), device=device)  # after which both sums were still finite

    def add(self, report: StepReport) -> None:
        """The tensors are kept for a while, and must stay as they are."""
        self._waiting.append(report)
        if len(self._waiting) == BLOCK:
            self._sum()

    def _sum(self) -> None:
        """An image is taken for real when its logit is above the loss's boundary (0: a probability above one half).

        Where the loss gives logits no such point (None), it is the middle between the batch's two means.
        """
        steps, self._waiting = self._waiting, []
        if not steps:
            return
        block = _pack(steps)
        losses, generator_losses = block["losses"], block["generator_losses"]
        real_logits, fake_logits = block["real_logits"], block["fake_logits"]
        boundary: float | Tensor | None = self._boundary
        if boundary is None:
            boundary = (real_logits.mean(1, keepdim=True) + fake_logits.mean(1, keepdim=True)) / 2
        right = [(real_logits > boundary).float().mean(1).sum(), (fake_logits <= boundary).float().mean(1).sum()]
        if block["penalties"] is not None:
            self._penalty += block["penalties"].sum()
            self._penalties += len(block["penalties"])
        both = self._generator + self._discriminator[0] + (losses.sum(1) + generator_losses).cumsum(0)
        self._sound_steps += both.isfinite().sum()
        self._discriminator += torch.stack([losses.sum(), *right])
        self._generator += generator_losses.sum()
        self._discriminator_updates += len(real_logits)
        self._generator_updates += len(steps)

    @property
    def broken_steps(self) -> int:
        """How many of the steps came after a loss was no longer finite, that one included; waits for the device."""
        self._sum()
        return self._generator_updates - int(self._sound_steps.item())

    def read(self) -> dict[str, float]:
        """The means, by TensorBoard tag; then the window begins anew."""
        self._sum()
        means = (self._discriminator / max(1, self._discriminator_updates)).tolist()
        metrics = dict(zip(self.tags, means, strict=True))
        metrics["loss/generator"] = (self._generator / max(1, self._generator_updates)).item()
        metrics["accuracy/discriminator"] = (metrics["accuracy/real"] + metrics["accuracy/fake"]) / 2
        if self._penalty_tag is not None and self._penalties:
            metrics[self._penalty_tag] = (self._penalty / self._penalties).item()
        for total in (self._discriminator, self._generator, self._penalty, self._sound_steps):
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
            "waiting": _pack(self._waiting) if self._waiting else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._discriminator.copy_(state["discriminator"])
        self._generator.copy_(state["generator"])
        self._penalty.copy_(state["penalty"])
        self._discriminator_updates = state["discriminator_updates"]
        self._generator_updates = state["generator_updates"]
        self._penalties = state["penalties"]
        self._waiting = _unpack(state.get("waiting"), self._generator.device)  # checkpoints of before have none
        self._sound_steps.fill_(self._generator_updates)  # or there would be no checkpoint


def _pack(steps: list[StepReport]) -> dict[str, Any]:
    """S steps of K updates of D each in a few tensors: each is a part of its own in the checkpoint's archive.

    `losses` [S, K], `generator_losses` [S], `real_logits` and `fake_logits` [S K, N], which updates are
    `penalised`, and their `penalties`, None without any.
    """
    updates = [update for step in steps for update in step.discriminator]
    penalties = [update.penalty for update in updates if update.penalty is not None]
    return {
        "losses": torch.stack([update.loss for update in updates]).view(len(steps), -1),
        "generator_losses": torch.stack([step.generator_loss for step in steps]),
        "real_logits": torch.stack([update.real_logits for update in updates]),
        "fake_logits": torch.stack([update.fake_logits for update in updates]),
        "penalised": [update.penalty is not None for update in updates],
        "penalties": torch.stack(penalties) if penalties else None,
    }


def _unpack(packed: dict[str, Any] | None, device: torch.device) -> list[StepReport]:
    if packed is None:
        return []
    there = {name: value.to(device) for name, value in packed.items() if isinstance(value, Tensor)}
    penalties = iter(there.get("penalties", ()))
    updates = iter(
        DiscriminatorReport(loss, next(penalties) if penalised else None, real_logits, fake_logits)
        for loss, penalised, real_logits, fake_logits in zip(
            there["losses"].flatten(), packed["penalised"], there["real_logits"], there["fake_logits"], strict=True
        )
    )
    each = range(there["losses"].shape[1])
    return [StepReport([next(updates) for _ in each], loss) for loss in there["generator_losses"]]


def gradient_norm(network: nn.Module) -> float:
    """The Euclidean norm of the gradients left by the network's last update."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))
