"""The networks' forward passes in a step, in its precision: what G makes of latents, and what D makes of images.

D sees images through augmentation, noise and packing.
"""

import torch
from torch import Tensor

from gan_exp.models.parts import HasAuxiliaryLoss
from gan_exp.models.sampling import generate
from gan_exp.penalties import RngFor
from gan_exp.runtime.randomness import draw
from gan_exp.training.precision import computing_in, in_float32
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig


def make_images(state: TrainingState, config: StepConfig, latents: Tensor, labels: Tensor | None) -> Tensor:
    """G's images [N, C, H, W]."""
    with computing_in(config.precision, latents.device):
        images = generate(state.generator, latents, labels)
    return in_float32(images)


def score_images(
    state: TrainingState, config: StepConfig, labels: Tensor | None, rng_for: RngFor, kind: str, images: Tensor
) -> Tensor:
    """D's logits [N / pac]."""
    images = _as_seen(state, config, rng_for, kind, images)
    with computing_in(config.precision, images.device):
        logits: Tensor = state.discriminator(images) if labels is None else state.discriminator(images, labels)
    return in_float32(logits)


def score_reals(
    state: TrainingState, config: StepConfig, labels: Tensor | None, rng_for: RngFor, images: Tensor
) -> tuple[Tensor, Tensor | None]:
    """D's logits [N / pac], and its own loss [N / pac] if it has one."""
    discriminator = state.discriminator
    if not isinstance(discriminator, HasAuxiliaryLoss):
        return score_images(state, config, labels, rng_for, "real", images), None
    images = _as_seen(state, config, rng_for, "real", images)
    with computing_in(config.precision, images.device):
        logits, loss = discriminator.score_with_auxiliary(images, labels, rng_for("auxiliary"))
    return in_float32(logits), in_float32(loss)


def _as_seen(state: TrainingState, config: StepConfig, rng_for: RngFor, kind: str, images: Tensor) -> Tensor:
    """What D sees of the images, through augmentation, noise and packing [N / pac, pac * C, H, W]."""
    if state.augment is not None:
        images = state.augment(images, rng_for(f"augment/{kind}"))
    if config.instance_noise > 0:
        noise = draw(torch.randn, images.shape, rng_for(f"noise/{kind}"), device=images.device)
        images = images + config.instance_noise * noise
    if config.pac > 1:
        images = images.reshape(len(images) // config.pac, -1, *images.shape[2:])
    return images
