"""The probability p of an augmentation, and the random numbers that choose images with it."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gan_exp.runtime.randomness import draw


@runtime_checkable
class Adaptive(Protocol):
    """An augmentation that adapts its `p`, a tensor on the device, to D's logits on augmented reals.

    Methods alone: from Python 3.12 on, `isinstance` doesn't see the buffers of a module.
    """

    def observe(self, real_logits: Tensor, batch_size: int, update: int) -> None:
        """Adapt `p` to the logits [N / pac], minus the loss's boundary, of D's update number `update` (from 0).

        Nothing may be read back from the device.
        """

    def moves_at(self, update: int) -> bool:
        """Whether `observe` changes `p` after that update; a captured step has a graph for each case."""


class GivenP(nn.Module):
    """An augmentation with a given probability `p`, which a schedule may scale.

    p lies on the device, where a captured step reads it. It follows from the configuration and the step, so that
    checkpoints don't contain it.
    """

    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.given_p = p
        self.register_buffer("p", torch.tensor(float(p)), persistent=False)

    def scale_p(self, factor: float) -> None:
        """Set p to `factor` times the given one, at most 1."""
        self.p.fill_(min(1.0, self.given_p * factor))


class ImageRng:
    """Random numbers [N, 1, 1, 1], one for each image, and the choice of images that an effect is applied to."""

    def __init__(self, images: Tensor, rng: torch.Generator, p: Tensor) -> None:
        self.shape = (len(images), 1, 1, 1)
        self.rng, self.p, self.device = rng, p, images.device

    def uniform(self, low: float, high: float) -> Tensor:
        return draw(torch.rand, self.shape, self.rng, device=self.device) * (high - low) + low

    def integer(self, most: int) -> Tensor:
        """Integers from -`most` to `most`, all equally likely."""
        return (self.uniform(0, 1) * (2 * most + 1)).floor() - most

    def normal(self) -> Tensor:
        return draw(torch.randn, self.shape, self.rng, device=self.device)

    def sign(self) -> Tensor:
        return torch.where(self.uniform(-1, 1) < 0, -1.0, 1.0)

    def mask(self, p: Tensor | None = None) -> Tensor:
        return self.uniform(0, 1) < (self.p if p is None else p)

    def where(self, effect: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        return torch.where(self.mask(p), effect, otherwise)
