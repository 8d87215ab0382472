"""Networks for points of the plane, as in the mixture benchmarks (PacGAN, Lin et al. 2018, section 4.1)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_exp.models.parts import LabelEmbedding, score
from gan_exp.ranges import ImageShape, NonNegativeInt, PositiveFloat, PositiveInt

STEEP = 5.0


class PointGenerator(nn.Module):
    """Linear -> BatchNorm -> ReLU for each width, then a linear layer times `scale`, without bounds.

    The benchmark uses BatchNorm. Its statistics change with each batch and shift the points a little, so that the
    network can't learn sharp transitions between narrow modes. With `batch_norm=False` the weights are initialised from
    N(0, 2 / inputs) (He et al. 2015, equation 10), and the biases from N(0, 1/4), which spreads the units' thresholds.

    A continuous function of continuous latents puts samples between the modes (Tanielian et al. 2020, "Learning
    disconnected manifolds: a no GAN's land"). With `signs`, which the benchmark does not have, the network gets only
    the sign of so many latents, the last ones, and jumps where one changes. Then its first activation is tanh, and the
    weights of the signs and the biases begin `STEEP` times as large: near the bounds of tanh, each pattern of signs has
    features of its own, and the other latents do little.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        widths: Sequence[PositiveInt] = (400, 400, 400, 400),
        batch_norm: bool = True,
        scale: PositiveFloat = 1.0,
        signs: NonNegativeInt = 0,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        if signs >= latent_dim:
            raise ValueError(
                f"signs={signs}: must be less than latent_dim={latent_dim}, for points of a mode to differ"
            )
        self.image_shape, self.scale, self.signs = image_shape, scale, signs
        self.label = LabelEmbedding(num_classes)
        layers: list[nn.Module] = []
        inputs = latent_dim + self.label.dim
        for width in widths:
            bounded = signs > 0 and not layers
            linear = nn.Linear(inputs, width)
            if not batch_norm:
                nn.init.kaiming_normal_(linear.weight)
                nn.init.normal_(linear.bias, 0.0, 0.5)
            if bounded:
                linear.weight.data[:, latent_dim - signs : latent_dim] *= STEEP
                linear.bias.data *= STEEP
            layers += [linear, *([nn.BatchNorm1d(width)] if batch_norm else []), nn.Tanh() if bounded else nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, math.prod(image_shape)))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.signs:
            latents = torch.cat([latents[:, : -self.signs], latents[:, -self.signs :].sign()], dim=1)
        points: Tensor = self.scale * self.layers(self.label(latents, labels))
        return points.view(-1, *self.image_shape)


class Maxout(nn.Module):
    """The largest of `pieces` linear maps, for each unit (Goodfellow et al. 2013, "Maxout Networks")."""

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, inputs: Tensor) -> Tensor:
        # The gradient of max goes to one index. amax compares all values again (a third of a step with a penalty).
        return self.linear(inputs).unflatten(1, (-1, self.pieces)).max(dim=2).values  # type: ignore[no-any-return]


class PointDiscriminator(nn.Module):
    """Points divided by `scale`, maxout layers, then one logit."""

    per_image = True

    def __init__(
        self,
        image_shape: ImageShape,
        widths: Sequence[PositiveInt] = (200, 200, 200),
        pieces: PositiveInt = 5,
        scale: PositiveFloat = 1.0,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.flatten = nn.Flatten()
        self.label = LabelEmbedding(num_classes)
        layers: list[nn.Module] = []
        inputs = math.prod(image_shape) + self.label.dim
        for width in widths:
            layers.append(Maxout(inputs, width, pieces))
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, 1))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return score(self.layers, self.label(self.flatten(points) / self.scale, labels)).squeeze(1)
