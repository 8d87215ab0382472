"""The residual networks of SNGAN for small images (Miyato et al. 2018, appendix B.4), for any image size.

Spectral normalisation is a setting of the training (`spectral_norm=true`) and applies to other models too.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_exp.models.activation import rectify
from gan_exp.models.folding import convolve_doubled, convolve_halved
from gan_exp.models.parts import LabelEmbedding, in_full_precision, stage_sizes
from gan_exp.ranges import ImageShape, NonNegativeInt, PositiveInt


def _initialise(module: nn.Module) -> None:
    """Glorot uniform, zero bias; a gain of sqrt(2) in the residual convolutions, as in the code of SNGAN's authors."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, _UpBlock | _DownBlock):  # after its layers
        for convolution in (module.convolution_1, module.convolution_2):
            nn.init.xavier_uniform_(convolution.weight, math.sqrt(2))


class _UpBlock(nn.Module):
    """BatchNorm-ReLU-convolution twice at `size`, plus the upsampled input through a 1x1 convolution."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.norm_1, self.norm_2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.convolution_1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.convolution_2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        residual = convolve_doubled(self.convolution_1, relu(self.norm_1(features)), self.size)
        residual = self.convolution_2(relu(self.norm_2(residual)))
        # A 1x1 convolution commutes with nearest upsampling, and is four times cheaper before it.
        return residual + interpolate(self.shortcut(features), self.size)  # type: ignore[no-any-return]


class ResNetGenerator(nn.Module):
    """Linear to the coarsest size, a residual block for each doubling, BatchNorm, ReLU, convolution, tanh."""

    def __init__(
        self, latent_dim: int, image_shape: ImageShape, width: PositiveInt = 128, num_classes: int = 0
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        sizes = stage_sizes("resnet", *image_size)
        self.start_shape = (width, *sizes[0])
        self.label = LabelEmbedding(num_classes)
        self.project = nn.Linear(latent_dim + self.label.dim, width * sizes[0][0] * sizes[0][1])
        self.blocks = nn.Sequential(*(_UpBlock(width, size) for size in sizes[1:]))
        self.head = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
        self.apply(_initialise)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.project(self.label(latents, labels)).view(-1, *self.start_shape)
        images: Tensor = self.head(self.blocks(features))
        return images


class _DownBlock(nn.Module):
    """ReLU-convolution twice, halved (rounding up) if `halve`, plus the input through a 1x1 convolution.

    The `first` block gets the image and leaves out the first ReLU.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.convolution_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.convolution_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve or inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        residual = rectify(self.convolution_1(features if self.first else rectify(features)))
        if not self.halve:
            return self.convolution_2(residual) + self.shortcut(features)  # type: ignore[no-any-return]
        shortcut = self.shortcut(avg_pool2d(features, 2, ceil_mode=True))
        return convolve_halved(self.convolution_2, residual) + shortcut  # type: ignore[no-any-return]


class ResNetDiscriminator(nn.Module):
    """Residual blocks that halve the image while its shorter side is above `coarsest`, and `plain_blocks` that don't.

    Then the sum over all positions, and one logit. SNGAN's for 32x32 has two of each (appendix B.4, table 4).
    Conditional: the inner product with the label's embedding is added (Miyato and Koyama 2018, "cGANs with Projection
    Discriminator", equation 3).
    """

    per_image = True

    def __init__(
        self,
        image_shape: ImageShape,
        width: PositiveInt = 128,
        plain_blocks: NonNegativeInt = 1,
        coarsest: PositiveInt = 7,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        halvings = len(stage_sizes("resnet", *image_size, above=coarsest)) - 1
        count = halvings + plain_blocks
        if count == 0:
            raise ValueError(
                f"coarsest={coarsest} and plain_blocks=0 leave no block for {image_size[0]}x{image_size[1]}"
            )
        widths = pairwise([channels, *[width] * count])
        self.blocks = nn.Sequential(
            *(_DownBlock(i, o, halve=k < halvings, first=k == 0) for k, (i, o) in enumerate(widths))
        )
        self.head = nn.Linear(width, 1)
        self.embed = nn.Embedding(num_classes, width) if num_classes else None
        self.apply(_initialise)
        if self.embed is not None:
            nn.init.xavier_uniform_(self.embed.weight)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return in_full_precision(self._logits, self.blocks(images), labels)

    def _logits(self, features: Tensor, labels: Tensor | None) -> Tensor:
        features = rectify(features).sum(dim=(2, 3))
        logits: Tensor = self.head(features).squeeze(1)
        if self.embed is not None:
            logits = logits + torch.sum(self.embed(labels) * features, dim=1)
        return logits
