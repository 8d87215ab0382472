"""All that a run changes: the two networks, the averaged generator, their optimizers and how far the game is."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

EMA_RAMP_UP = 0.05  # the half-life is at most this part of the images seen, or the untrained start would linger


@dataclass
class TrainingState:
    """`generator_ema` is `generator` itself where no average is kept. A step is one generator update."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    step: int = 0
    images_seen: int = 0  # real images shown to the discriminator

    def __post_init__(self) -> None:
        self.generator_parameters = list(self.generator.parameters())
        self.discriminator_parameters = list(self.discriminator.parameters())
        self._ema_parameters = list(self.generator_ema.parameters())
        self._ema_buffers = list(self.generator_ema.buffers())
        self._generator_buffers = list(self.generator.buffers())

    @property
    def averages(self) -> bool:
        return self.generator_ema is not self.generator

    @torch.no_grad()
    def update_ema(self, halflife_images: float, batch_size: int) -> None:
        """Move the average towards G by 1 - 0.5^(batch / half-life); buffers are copied (EDM, StyleGAN2)."""
        if not self.averages:
            return
        halflife = max(min(halflife_images, EMA_RAMP_UP * self.step * batch_size), 1e-8)
        average = get_ema_multi_avg_fn(0.5 ** (batch_size / halflife))
        average(self._ema_parameters, self.generator_parameters, None)
        for kept, current in zip(self._ema_buffers, self._generator_buffers, strict=True):
            kept.copy_(current)

    def set_learning_rate_factor(self, factor: float) -> None:
        """Both optimizers' learning rates as multiples of their initial ones."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors only, so that a checkpoint loads without unpickling code."""
        state: dict[str, Any] = {
            "step": self.step,
            "images_seen": self.images_seen,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
        }
        if self.averages:
            state["generator_ema"] = self.generator_ema.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        if self.averages:
            self.generator_ema.load_state_dict(state["generator_ema"])
        self.step = state["step"]
        self.images_seen = state["images_seen"]
