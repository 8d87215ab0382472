"""The step's numbers, summed on the device and read only when they are to be looked at."""

from typing import Any

import torch
from torch import Tensor, nn

from gan_exp.step import DiscriminatorReport


class Window:
    """Means over all updates since the last `read`, not the one noisy step at which someone looked."""

    def __init__(self, device: torch.device, penalty_name: str | None, boundary: float | None = 0.0) -> None:
        self.tags = ["loss/discriminator", "accuracy/real", "accuracy/fake"]
        self._boundary = boundary
        self._penalty_tag = None if penalty_name is None else f"penalty/{penalty_name}"
        self._discriminator = torch.zeros(len(self.tags), device=device)
        self._generator = torch.zeros((), device=device)
        self._penalty = torch.zeros((), device=device)
        self._discriminator_updates = 0
        self._generator_updates = 0
        self._penalties = 0  # a lazy penalty is not there in each update
        self._sound_steps = torch.zeros((), device=device)  # after which both sums were still finite

    def add_discriminator(self, report: DiscriminatorReport) -> None:
        """An image is taken for real when its logit is above the loss's boundary (0: a probability above one half).

        Where the loss gives logits no such point (None), it is the middle between the batch's two means.
        """
        real_logits, fake_logits = report.real_logits, report.fake_logits
        boundary = self._boundary if self._boundary is not None else (real_logits.mean() + fake_logits.mean()) / 2
        values = [report.loss, (real_logits > boundary).float().mean(), (fake_logits <= boundary).float().mean()]
        if report.penalty is not None:
            self._penalty += report.penalty
            self._penalties += 1
        self._discriminator += torch.stack(values)
        self._discriminator_updates += 1

    def add_generator(self, loss: Tensor) -> None:
        """The step's last update."""
        self._generator += loss
        self._generator_updates += 1
        self._sound_steps += (self._generator + self._discriminator[0]).isfinite()

    @property
    def broken_steps(self) -> int:
        """How many of the steps came after a loss was no longer finite, that one included; waits for the device."""
        return self._generator_updates - int(self._sound_steps.item())

    def read(self) -> dict[str, float]:
        """The means, by TensorBoard tag; then the window begins anew."""
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
        return {
            "discriminator": self._discriminator.clone(),
            "generator": self._generator.clone(),
            "penalty": self._penalty.clone(),
            "discriminator_updates": self._discriminator_updates,
            "generator_updates": self._generator_updates,
            "penalties": self._penalties,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._discriminator.copy_(state["discriminator"])
        self._generator.copy_(state["generator"])
        self._penalty.copy_(state["penalty"])
        self._discriminator_updates = state["discriminator_updates"]
        self._generator_updates = state["generator_updates"]
        self._penalties = state["penalties"]
        self._sound_steps.fill_(self._generator_updates)  # or there would be no checkpoint


def gradient_norm(network: nn.Module) -> float:
    """The Euclidean norm of the gradients left by the network's last update."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))
