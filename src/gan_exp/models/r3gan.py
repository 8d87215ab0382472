"""R3GAN (Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline"), for any image size.

Residual blocks of grouped convolutions without normalisation, whose initialisation keeps the variance, antialiased
resampling, and a learned basis at the image's coarsest size (4x4 in the paper).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gan_exp.models.activation import activate
from gan_exp.models.layers import channels_last, convolve, pointwise, resample
from gan_exp.models.merging import GroupedConvolution
from gan_exp.models.parts import LabelEmbedding, in_full_precision, stage_sizes, stage_widths
from gan_exp.ranges import ImageShape, PositiveInt

LEAK = 0.2
GAIN = math.sqrt(2 / (1 + LEAK**2))


def _scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Conv2d | nn.Linear:
    """Initialise the weights from N(0, gain / sqrt(fan_in)) and a bias with zero."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _Pointwise(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return pointwise(features, self.weight)


class _Basis(nn.Conv2d):
    """A depthwise convolution over the whole image [N, C, H, W]: C numbers, each the inner product with its weights."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__(width, width, size, groups=width, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return (channels_last(features) * self.weight.squeeze(1)).sum((2, 3))


class _BiasedActivation(nn.Module):
    """The leaky ReLU of a layer, which adds the bias itself; in place, so that only its output is kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, biased: Tensor) -> Tensor:
        return activate(biased, LEAK)


class _Block(nn.Module):
    """x + 1x1(act(grouped 3x3(act(1x1(x))))); the last layer is initialised with zero: at first, x is returned."""

    def __init__(
        self, width: int, expansion: int, group_size: int, depth: int, size: tuple[int, int], coarsest: bool
    ) -> None:
        super().__init__()
        inner = width * expansion
        gain = GAIN * depth**-0.25  # for `depth` blocks: section 3.3, after Fixup
        self.layers = nn.ModuleList(
            [
                _scaled(_Pointwise(width, inner), gain),
                _BiasedActivation(inner),
                _scaled(GroupedConvolution(inner, group_size, size, in_float32=coarsest), gain),
                _BiasedActivation(inner),
                _scaled(_Pointwise(inner, width), 0.0),
            ]
        )

    def forward(self, features: Tensor) -> Tensor:
        layers: Any = self.layers
        widen, activate_1, middle, activate_2, narrow = layers
        inner = pointwise(features, widen.weight, activate_1.bias, activate_1)
        inner = activate_2(convolve(inner, middle.weight, activate_2.bias, middle.groups, middle.merged))
        results: Tensor = features + narrow(inner)
        return results


class _Resample(nn.Module):
    """Resampling to `size` by a factor of 2 with the filter [1, 3, 3, 1] in both directions.

    A 1x1 convolution is added where the number of channels changes.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], up: bool) -> None:
        super().__init__()
        self.size, self.up = size, up
        convolution = _Pointwise(inputs, outputs)  # made in any case, so that what follows draws the same weights
        self.channels = nn.Identity() if inputs == outputs else _scaled(convolution, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        # A 1x1 convolution commutes with the filter, and is cheaper on the side with fewer pixels.
        if self.up:
            doubled, (height, width) = resample(self.channels(features), up=True), self.size
            return doubled if doubled.shape[2:] == self.size else doubled[:, :, :height, :width]
        height, width = features.shape[2:]
        even = pad(features, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else features
        return self.channels(resample(even, up=False))  # type: ignore[no-any-return]


class R3GANGenerator(nn.Module):
    """A learned basis times Linear(z), residual blocks at each size with upsampling between, a 1x1 convolution.

    There are `width` channels at the image's size, and twice as many at each coarser one up to `max_width`. A block has
    `expansion` times as many inside, in groups of `group_size`. A label's embedding of `label_dim` joins the latents.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        width: PositiveInt = 128,
        max_width: PositiveInt = 128,
        blocks: PositiveInt = 2,
        expansion: PositiveInt = 2,
        group_size: PositiveInt = 16,
        label_dim: PositiveInt = 32,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        sizes = stage_sizes("r3gan", *image_size)
        widths = stage_widths(len(sizes), width, max_width)
        self.label = LabelEmbedding(num_classes, label_dim)
        if self.label.embed is not None:  # as a linear layer on one-hot labels
            nn.init.normal_(self.label.embed.weight, 0.0, 1 / math.sqrt(num_classes))
        self.basis = nn.Parameter(torch.randn(widths[0], *sizes[0]))
        self.coarsest = blocks  # stages[:coarsest] are those of the coarsest size
        self.project = _scaled(nn.Linear(latent_dim + self.label.dim, widths[0], bias=False), 1.0)
        stages: list[nn.Module] = []
        for number, size in enumerate(sizes):
            if number:
                stages.append(_Resample(widths[number - 1], widths[number], size, up=True))
            stages += _blocks(widths, number, sizes, blocks, expansion, group_size)
        self.stages = nn.Sequential(*stages, _scaled(_Pointwise(widths[-1], channels), 1.0))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.stages[self.coarsest :](in_full_precision(self._coarsest, latents, labels))
        return images

    def _coarsest(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The stage of a few pixels, always in float32, as in the authors' code: it costs little there."""
        scales = self.project(self.label(latents, labels))
        features: Tensor = self.stages[: self.coarsest](channels_last(self.basis * scales[:, :, None, None]))
        return features


class R3GANDiscriminator(nn.Module):
    """The generator's mirror image: a 1x1 convolution, blocks and downsampling, a depthwise convolution, one logit.

    Conditional: the logit is the inner product of `label_dim` features with the label's embedding.
    """

    per_image = True

    def __init__(
        self,
        image_shape: ImageShape,
        width: PositiveInt = 128,
        max_width: PositiveInt = 128,
        blocks: PositiveInt = 2,
        expansion: PositiveInt = 2,
        group_size: PositiveInt = 16,
        label_dim: PositiveInt = 64,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        sizes = stage_sizes("r3gan", *image_size)[::-1]
        widths = stage_widths(len(sizes), width, max_width)[::-1]
        stages: list[nn.Module] = [_scaled(_Pointwise(channels, widths[0]), 1.0)]
        for number, size in enumerate(sizes):
            if number:
                stages.append(_Resample(widths[number - 1], widths[number], size, up=False))
            stages += _blocks(widths, number, sizes, blocks, expansion, group_size)
        self.finer = len(stages) - blocks  # stages[finer:] are those of the coarsest size
        basis = _scaled(_Basis(widths[-1], sizes[-1]), 1.0)
        self.stages = nn.Sequential(*stages, basis)
        outputs = label_dim if num_classes else 1
        self.head = _scaled(nn.Linear(widths[-1], outputs, bias=False), 1.0)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        if self.embed is not None:  # with a gain of 1 / sqrt(label_dim), for the inner product
            nn.init.normal_(self.embed.weight, 0.0, 1 / math.sqrt(label_dim * num_classes))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return in_full_precision(self._logits, self.stages[: self.finer](images), labels)

    def _logits(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """From the coarsest stage, always in float32, as in the authors' code."""
        features = self.head(self.stages[self.finer :](features))
        if self.embed is None:
            return features.squeeze(1)
        return torch.sum(features * self.embed(labels), dim=1)


def _blocks(
    widths: list[int], number: int, sizes: list[tuple[int, int]], blocks: int, expansion: int, group_size: int
) -> list[nn.Module]:
    """The blocks of one of the `sizes`."""
    width, size = widths[number], sizes[number]
    if width * expansion % group_size:
        raise ValueError(f"group_size={group_size}: must divide the width inside a block, {width * expansion}")
    depth, coarsest = blocks * len(sizes), size == min(sizes)
    return [_Block(width, expansion, group_size, depth, size, coarsest) for _ in range(blocks)]
