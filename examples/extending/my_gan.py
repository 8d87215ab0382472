"""A loss, a generator and a data set of one's own, outside the package."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_exp.data.packed import PackedImages
from gan_exp.ranges import ImageShape, NonNegativeFloat, PositiveInt


class SoftplusMargin:
    """The hinge loss with its corners rounded: D: s(m - D(x)) + s(m + D(x~)), G: -D(x~), s = softplus."""

    needs_reals = False  # true: G's loss compares with real logits

    def __init__(self, margin: NonNegativeFloat = 1.0) -> None:
        self.margin = margin

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(self.margin - real_logits) + softplus(self.margin + fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class SmallGenerator(nn.Module):
    """One hidden layer."""

    def __init__(self, latent_dim: int, image_shape: ImageShape, width: PositiveInt = 64) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width), nn.ReLU(), nn.Linear(width, math.prod(image_shape)), nn.Tanh()
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(latents)
        return images.view(-1, *self.image_shape)


def bars(count: PositiveInt = 1000, size: PositiveInt = 8) -> PackedImages:
    """White bars on black, upright or lying: two classes."""
    random = torch.Generator().manual_seed(0)
    where = torch.randint(size, (count,), generator=random)
    labels = torch.randint(2, (count,), generator=random)
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    for image, place, label in zip(images, where, labels, strict=True):
        image[0].select(int(label), int(place)).fill_(255)
    return PackedImages(images, labels, ("lying", "upright"))
