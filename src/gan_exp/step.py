"""One step of the game: the discriminator's update, then the generator's. Tensors in, detached tensors out; no I/O.

V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]    (Goodfellow et al. 2014, equation 1; D raises it, G lowers it)
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan_exp.data.packed import Batch, normalise
from gan_exp.state import TrainingState


class Loss(Protocol):
    """Per-sample values [N]: D's two terms and G's one. See `losses.py`."""

    def real(self, real_logits: Tensor) -> Tensor: ...
    def fake(self, fake_logits: Tensor) -> Tensor: ...
    def generator(self, fake_logits: Tensor) -> Tensor: ...


class Penalty(Protocol):
    """Per-sample values [N] from real images that require grad and their logits. See `penalties.py`."""

    def __call__(self, real_images: Tensor, real_logits: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Rules:
    """What stays the same throughout a game."""

    loss: Loss
    penalty: Penalty | None = None
    split_updates: bool = False  # D takes one update on reals and one on fakes, instead of one on their sum
    inference_fakes: bool = False  # G makes D's fakes in inference mode (BatchNorm's moving averages)


class DiscriminatorReport(NamedTuple):
    loss: Tensor  # the mean over D's updates, without the penalty
    penalty: Tensor | None
    real_logits: Tensor  # [N]
    fake_logits: Tensor  # [N]


def discriminator_step(state: TrainingState, rules: Rules, batch: Batch, latents: Tensor) -> DiscriminatorReport:
    """Train D to tell `batch.images` (uint8 [N, C, H, W]) from what G makes of `latents` [N, latent_dim]."""
    discriminator, optimizer = state.discriminator, state.discriminator_optimizer
    real_images = normalise(batch.images)
    with torch.no_grad():
        state.generator.train(not rules.inference_fakes)
        fake_images = state.generator(latents)
    state.images_seen += len(real_images)

    if rules.split_updates:
        real_logits = discriminator(real_images)
        real_loss = rules.loss.real(real_logits).mean()
        _update(optimizer, real_loss)
        fake_logits = discriminator(fake_images)
        fake_loss = rules.loss.fake(fake_logits).mean()
        _update(optimizer, fake_loss)
        loss = (real_loss + fake_loss).detach() / 2
        return DiscriminatorReport(loss, None, real_logits.detach(), fake_logits.detach())

    real_images.requires_grad_(rules.penalty is not None)
    real_logits = discriminator(real_images)
    fake_logits = discriminator(fake_images)
    loss = rules.loss.real(real_logits).mean() + rules.loss.fake(fake_logits).mean()
    penalty = None if rules.penalty is None else rules.penalty(real_images, real_logits).mean()
    _update(optimizer, loss if penalty is None else loss + penalty)
    penalty = None if penalty is None else penalty.detach()
    return DiscriminatorReport(loss.detach(), penalty, real_logits.detach(), fake_logits.detach())


def generator_step(state: TrainingState, rules: Rules, latents: Tensor) -> Tensor:
    """Train G to make D, which stands still, take what it makes of `latents` for real. Returns the loss [] detached."""
    state.generator.train()
    for parameter in state.discriminator_parameters:
        parameter.requires_grad_(False)
    fake_logits = state.discriminator(state.generator(latents))
    loss = rules.loss.generator(fake_logits).mean()
    _update(state.generator_optimizer, loss)
    for parameter in state.discriminator_parameters:
        parameter.requires_grad_(True)
    return loss.detach()


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
