"""A custom loss, generator, data set and metric, outside the package."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_exp.data.packed import PackedImages
from gan_exp.metrics.inputs import MetricInputs
from gan_exp.metrics.metric import Metric, Score
from gan_exp.ranges import ImageShape, NonNegativeFloat, PositiveInt


class SoftplusMargin:
    """A smooth hinge loss: D: s(m - D(x)) + s(m + D(x~)), G: -D(x~), with s = softplus."""

    needs_reals = False  # True would pass the real logits to `generator`

    def __init__(self, margin: NonNegativeFloat = 1.0) -> None:
        self.margin = margin

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(self.margin - real_logits) + softplus(self.margin + fake_logits)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        return -fake_logits


class SmallGenerator(nn.Module):
    """A multi-layer perceptron with one hidden layer."""

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
    """One white bar on black in each image, horizontal or vertical: two classes."""
    rng = torch.Generator().manual_seed(0)
    positions = torch.randint(size, (count,), generator=rng)
    labels = torch.randint(2, (count,), generator=rng)
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    for image, position, label in zip(images, positions, labels, strict=True):
        image[0].select(int(label), int(position)).fill_(255)
    return PackedImages(images, labels, ("horizontal", "vertical"))


def sharpness(inputs: MetricInputs) -> dict[str, float]:
    """The mean difference between a pixel and its right neighbour, of 255."""
    return {"sharpness": inputs.samples.float().diff(dim=-1).abs().mean().item()}


SHARPNESS = Metric(
    "sharpness",
    scores=(Score("sharpness", "mean difference of neighbouring pixels", better="higher", of_features=False),),
    measure=sharpness,
)
