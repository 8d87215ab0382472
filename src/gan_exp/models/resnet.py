"""Residual networks as SNGAN has them for small images (Miyato et al. 2018, appendix B.4), for any image size.

Spectral normalisation is a setting of the game (`spectral_norm=true`), not of this file.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_exp.models.parts import LabelEmbedding, stage_sizes
from gan_exp.ranges import ImageShape, NonNegativeInt, PositiveInt


def _initialise(module: nn.Module) -> None:
    """Glorot uniform, zero bias (as SNGAN's authors' code)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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
        residual = interpolate(relu(self.norm_1(features)), self.size)
        residual = self.convolution_2(relu(self.norm_2(self.convolution_1(residual))))
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

    The `first` block sees the image itself, which no ReLU must touch.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.convolution_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.convolution_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve or inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        residual = self.convolution_2(relu(self.convolution_1(features if self.first else relu(features))))
        shortcut = features
        if self.halve:
            residual = avg_pool2d(residual, 2, ceil_mode=True)
            shortcut = avg_pool2d(shortcut, 2, ceil_mode=True)
        return residual + self.shortcut(shortcut)  # type: ignore[no-any-return]


class ResNetDiscriminator(nn.Module):
    """A halving residual block for each stage, `plain_blocks` more, the sum over all places, one logit.

    Conditional: the inner product with the label's embedding is added (Miyato and Koyama 2018, "cGANs with Projection
    Discriminator", equation 3).
    """

    def __init__(
        self,
        image_shape: ImageShape,
        width: PositiveInt = 128,
        plain_blocks: NonNegativeInt = 1,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        stages = len(stage_sizes("resnet", *image_size)) - 1
        widths = [channels, *[width] * stages]
        blocks = [_DownBlock(i, o, halve=True, first=k == 0) for k, (i, o) in enumerate(pairwise(widths))]
        blocks += [_DownBlock(width, width, halve=False) for _ in range(plain_blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, 1)
        self.embed = nn.Embedding(num_classes, width) if num_classes else None
        self.apply(_initialise)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = relu(self.blocks(images)).sum(dim=(2, 3))
        logits: Tensor = self.head(features).squeeze(1)
        if self.embed is not None:
            logits = logits + torch.sum(self.embed(labels) * features, dim=1)
        return logits
