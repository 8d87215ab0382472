"""The networks' forward passes in a step, in its precision: what G makes of latents, and what D makes of images.

D sees images through augmentation, noise and packing.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.models.parts import HasAuxiliaryLoss, on_gpu
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


class Scorer(NamedTuple):
    """D in an update: what it makes of images that have `labels`, by random numbers of `rng_for`."""

    state: TrainingState
    config: StepConfig
    labels: Tensor | None
    rng_for: RngFor

    def score(self, kind: str, images: Tensor) -> Tensor:
        """The logits [N / pac] of images [N, C, H, W]; each `kind` sees random numbers of its own."""
        return self._logits(self._as_seen(kind, images), self.labels)

    def score_reals(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits [N / pac], and D's own loss [N / pac] if it has one."""
        discriminator = self.state.discriminator
        if not isinstance(discriminator, HasAuxiliaryLoss):
            return self.score("real", images), None
        images = self._as_seen("real", images)
        with computing_in(self.config.precision, images.device):
            logits, loss = discriminator.score_with_auxiliary(images, self.labels, self.rng_for("auxiliary"))
        return in_float32(logits), in_float32(loss)

    def score_both(
        self, real_images: Tensor, fake_images: Tensor, apart: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """As `score_reals`, and the logits of the fakes.

        On a GPU in one pass, of half as many kernels, unless they must be `apart` or D may mix the images of a batch. A
        CPU gains little from larger batches, and its caches lose.
        """
        together = on_gpu(real_images) and self.state.scores_each_alone and not apart
        if not together:
            return *self.score_reals(real_images), self.score("fake", fake_images)
        images = torch.cat([self._as_seen("real", real_images), self._as_seen("fake", fake_images)])
        labels = None if self.labels is None else torch.cat([self.labels, self.labels])
        real_logits, fake_logits = self._logits(images, labels).chunk(2)
        return real_logits, None, fake_logits

    def _logits(self, images: Tensor, labels: Tensor | None) -> Tensor:
        discriminator = self.state.discriminator
        with computing_in(self.config.precision, images.device):
            logits: Tensor = discriminator(images) if labels is None else discriminator(images, labels)
        return in_float32(logits)

    def _as_seen(self, kind: str, images: Tensor) -> Tensor:
        """What D sees of the images, through augmentation, noise and packing [N / pac, pac * C, H, W]."""
        augment, noise, pac = self.state.augment, self.config.instance_noise, self.config.pac
        if augment is not None:
            images = augment(images, self.rng_for(f"augment/{kind}"))
        if noise > 0:
            images = images + noise * draw(
                torch.randn, images.shape, self.rng_for(f"noise/{kind}"), device=images.device
            )
        if pac > 1:
            images = images.reshape(len(images) // pac, -1, *images.shape[2:])
        return images
