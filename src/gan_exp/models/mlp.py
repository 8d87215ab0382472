"""The multi-layer perceptrons of the article that this project reproduces, for any image shape."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_exp.models.parts import LabelEmbedding, score
from gan_exp.ranges import Fraction, ImageShape, NonNegativeFloat, PositiveFloat, PositiveInt


class KerasBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm that averages the biased batch variance, as in Keras; torch averages n / (n - 1) times it."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.momentum is not None
        # The kernel of batch_norm, which also returns the statistics that it normalised with.
        output, mean, inverse_deviation = torch.native_batch_norm(
            input, self.weight, self.bias, None, None, True, self.momentum, self.eps
        )
        self.update_averages(mean, inverse_deviation)
        return output

    @torch.no_grad()
    def update_averages(self, mean: Tensor, inverse_deviation: Tensor) -> None:
        """Update the moving averages with the statistics of a batch, [F] each."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(inverse_deviation.pow(-2).sub_(self.eps), self.momentum)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer initialised as in Keras: Glorot uniform weights (Glorot and Bengio 2010, eq. 16), zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class MLPGenerator(nn.Module):
    """Linear -> LeakyReLU -> BatchNorm for each width, then Linear -> tanh, reshaped to an image.

    `batch_norm_momentum` is the weight of the new batch, as in torch (Keras' momentum of 0.8 is 0.2 here).
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        widths: Sequence[PositiveInt] = (256, 512, 1024),
        leak: NonNegativeFloat = 0.2,
        batch_norm_momentum: Fraction = 0.2,
        batch_norm_eps: PositiveFloat = 1e-3,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.label = LabelEmbedding(num_classes)
        layers: list[nn.Module] = []
        inputs = latent_dim + self.label.dim
        for width in widths:
            layers += [
                _dense(inputs, width),
                nn.LeakyReLU(leak),
                KerasBatchNorm1d(width, eps=batch_norm_eps, momentum=batch_norm_momentum),
            ]
            inputs = width
        self.layers = nn.Sequential(*layers, _dense(inputs, math.prod(image_shape)), nn.Tanh())

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(self.label(latents, labels))
        return images.view(-1, *self.image_shape)

    def chain(self) -> list[nn.Module]:
        """The layers of the whole network, if it is unconditional."""
        return [*self.layers, nn.Unflatten(1, self.image_shape)]


class MLPDiscriminator(nn.Module):
    """Flatten, then Linear -> LeakyReLU for each width, then one logit."""

    per_image = True

    def __init__(
        self,
        image_shape: ImageShape,
        widths: Sequence[PositiveInt] = (512, 256),
        leak: NonNegativeFloat = 0.2,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.label = LabelEmbedding(num_classes)
        self.flatten = nn.Flatten()
        layers: list[nn.Module] = []
        inputs = math.prod(image_shape) + self.label.dim
        for width in widths:
            layers += [_dense(inputs, width), nn.LeakyReLU(leak)]
            inputs = width
        self.layers = nn.Sequential(*layers, _dense(inputs, 1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return score(self.layers, self.label(self.flatten(images), labels)).squeeze(1)

    def chain(self) -> list[nn.Module]:
        """The layers of the whole network, if it is unconditional; their logits are [N, 1]."""
        return [self.flatten, *self.layers]
