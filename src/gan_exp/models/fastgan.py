"""FastGAN (Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis").

For few images: G's coarse features gate its fine ones (skip-layer excitation), and D must also be able to reconstruct
what it sees, which keeps its features from learning the training images by heart. Three things differ from the paper:
reconstructions are compared by their pixels, since LPIPS needs a network that was trained elsewhere; the logits of D's
patches are averaged before the loss; and G has no noise but the latents, so that an image is a function of its latent.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from gan_exp.models.activation import LeakyReLU
from gan_exp.models.folding import convolve_doubled
from gan_exp.models.layers import channels_last
from gan_exp.models.parts import LabelEmbedding, in_full_precision, stage_sizes, stage_widths
from gan_exp.ranges import ImageShape, PositiveInt
from gan_exp.runtime.randomness import draw

LEAK = 0.2
EXCITED_BY = 4  # a stage is gated by the one that is so many doublings coarser: 64x64 by 4x4, as in the paper
COARSEST = 8  # the least side of D's last features, as in the paper


def _initialise(network: nn.Module, batch_norm: bool) -> None:
    """As in the authors' code: weights N(0, 0.02), BatchNorm's gain N(1, 0.02).

    Without BatchNorm, which restores the scale of features, each layer with such small weights would make them smaller
    still, and the logits would not depend on the image: weights that keep the scale then (He et al. 2015).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if batch_norm:
                nn.init.normal_(module.weight, 0.0, 0.02)
            else:
                nn.init.kaiming_normal_(module.weight, LEAK)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


def gate(features: Tensor) -> Tensor:
    """A gated linear unit: the second half of the channels [N, 2 C, H, W] gates the first.

    Computed on copies of the halves: beside each other in every pixel they are slow to read, and torch's gradient would
    lie NCHW, which makes everything slow that comes before.
    """
    pixels = channels_last(features).permute(0, 2, 3, 1).unflatten(3, (2, -1))
    halves = pixels.movedim(3, 0).contiguous()
    return nn.functional.glu(halves, dim=0).squeeze(0).permute(0, 3, 1, 2)


class _Gated(nn.Module):
    """A 3x3 convolution whose second half of channels gates the first (a gated linear unit).

    With `doubles` it is given an image of half the size, of which each pixel becomes four.
    """

    def __init__(self, inputs: int, outputs: int, batch_norm: bool = True, doubles: bool = False) -> None:
        super().__init__()
        self.doubles = doubles
        self.convolution = nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=not batch_norm)
        self.norm = nn.BatchNorm2d(2 * outputs) if batch_norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        convolved = convolve_doubled(self.convolution, features) if self.doubles else self.convolution(features)
        return gate(self.norm(convolved))


class _Double(nn.Module):
    """Each pixel becomes four, cut to `size` where a side is odd; then gated convolutions."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], convolutions: int, antialias: bool) -> None:
        super().__init__()
        self.size, self.mode = size, "bilinear" if antialias else "nearest"
        self.folded = not antialias and not any(side % 2 for side in size)  # then the first convolution doubles
        self.layers = nn.Sequential(
            *(_Gated(outputs if k else inputs, outputs, doubles=self.folded and k == 0) for k in range(convolutions))
        )

    def forward(self, features: Tensor) -> Tensor:
        if not self.folded:
            height, width = self.size
            features = interpolate(features, scale_factor=2.0, mode=self.mode)[:, :, :height, :width]
        return cast(Tensor, self.layers(features))


class _SkipExcitation(nn.Module):
    """Channels of `fine` [N, F, ...] are scaled by weights in (0, 1) from `coarse` [N, C, ...]; section 3.1."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(coarse, fine, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(fine, fine, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return fine * cast(Tensor, self.weights(coarse))


def _excitations(widths: list[int]) -> nn.ModuleDict:
    """For each stage that has one: by its number, since a ModuleDict's keys are text."""
    pairs = range(EXCITED_BY, len(widths))
    return nn.ModuleDict({str(k): _SkipExcitation(widths[k - EXCITED_BY], widths[k]) for k in pairs})


def _of_each_stage(stages: nn.ModuleList, excitations: nn.ModuleDict, features: Tensor) -> list[Tensor]:
    """The `features`, and what each stage makes of those before it, gated where it has an excitation."""
    found = [features]
    for k, stage in enumerate(stages, start=1):
        features = stage(features)
        if str(k) in excitations:
            features = excitations[str(k)](found[k - EXCITED_BY], features)
        found.append(features)
    return found


class FastGANGenerator(nn.Module):
    """Gated convolutions at each size, the finer ones gated by the coarser; a 3x3 convolution and tanh.

    There are `width` channels at the image's size, and twice as many at each coarser one up to `max_width`. Sizes have
    one and two convolutions by turns, as in the paper. A label's embedding joins the latents.
    """

    segments = (_Double,)  # of activation checkpointing

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        width: PositiveInt = 32,
        max_width: PositiveInt = 512,
        antialias: bool = False,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        sizes = stage_sizes("fastgan", *image_size)
        widths = stage_widths(len(sizes), width, max_width)
        self.label = LabelEmbedding(num_classes)
        self.start_shape = (2 * widths[0], *sizes[0])
        start = 2 * widths[0] * sizes[0][0] * sizes[0][1]
        self.project = nn.Linear(latent_dim + self.label.dim, start, bias=False)
        self.norm = nn.BatchNorm2d(2 * widths[0])
        self.stages = nn.ModuleList(
            _Double(inputs, outputs, size, 1 + k % 2, antialias)
            for k, ((inputs, outputs), size) in enumerate(zip(pairwise(widths), sizes[1:], strict=True))
        )
        self.excitations = _excitations(widths)
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)
        _initialise(self, batch_norm=True)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.project(self.label(latents, labels)).view(-1, *self.start_shape)
        features = features.contiguous(memory_format=torch.channels_last)
        features = gate(self.norm(features))
        return torch.tanh(self.to_image(_of_each_stage(self.stages, self.excitations, features)[-1]))


class _Halve(nn.Module):
    """The mean of a strided 4x4 and a 3x3 convolution, and of a 2x2 mean with a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool) -> None:
        super().__init__()

        def activated(convolution: nn.Conv2d) -> list[nn.Module]:
            norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
            return [convolution, *norm, LeakyReLU(LEAK)]

        bias = not batch_norm
        self.main = nn.Sequential(
            *activated(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)),
            *activated(nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)),
        )
        self.direct = nn.Sequential(nn.AvgPool2d(2), *activated(nn.Conv2d(inputs, outputs, 1, bias=bias)))

    def forward(self, features: Tensor) -> Tensor:
        features = _even(features)
        return cast(Tensor, (self.main(features) + self.direct(features)) / 2)


def _even(features: Tensor) -> Tensor:
    """An odd side is padded by one pixel, so that D passes through the same sizes as G."""
    height, width = features.shape[2:]
    return pad(features, (0, width % 2, 0, height % 2))


class _Decoder(nn.Module):
    """Reconstructs an image in [-1, 1], `doublings` times as high and wide as the features."""

    def __init__(self, inputs: int, width: int, channels: int, doublings: int, batch_norm: bool) -> None:
        super().__init__()
        widths = [inputs, *stage_widths(doublings, width, 8 * width)]
        self.doublings = nn.ModuleList(_Gated(a, b, batch_norm, doubles=True) for a, b in pairwise(widths))
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.doublings:
            features = layer(features)
        return torch.tanh(self.to_image(features))


class FastGANDiscriminator(nn.Module):
    """Residual downsampling to 8x8, where patches get logits, whose mean is D's; two decoders see its features.

    On reals the decoders are trained with D: one restores the image from the last features, one a quarter of it, drawn
    for each image, from the features before. Conditional: the inner product of the mean features with the label's
    embedding is added (Miyato and Koyama 2018). `batch_norm=False` is for penalties on each image's gradient.
    `reconstruction_size` is the longest side of what the decoders make, in pixels; smaller ones take less time.
    """

    auxiliary_name = "reconstruction"
    segments = (_Halve, _Gated)  # of activation checkpointing

    def __init__(
        self,
        image_shape: ImageShape,
        width: PositiveInt = 32,
        max_width: PositiveInt = 512,
        batch_norm: bool = True,
        reconstruction_size: PositiveInt = 128,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        stage_sizes("fastgan", *image_size)  # refuses what is too small
        sizes = stage_sizes("fastgan", *image_size, above=2 * COARSEST - 1)[::-1]
        widths = stage_widths(len(sizes), width, max_width)[::-1]
        self.from_image = nn.Sequential(nn.Conv2d(channels, widths[0], 3, padding=1), LeakyReLU(LEAK))
        self.stages = nn.ModuleList(_Halve(a, b, batch_norm) for a, b in pairwise(widths))
        self.excitations = _excitations(widths)
        norm = [nn.BatchNorm2d(widths[-1])] if batch_norm else []
        self.last = nn.Sequential(nn.Conv2d(widths[-1], widths[-1], 1, bias=not batch_norm), *norm, LeakyReLU(LEAK))
        self.patches = nn.Conv2d(widths[-1], 1, 4, bias=False)
        self.embed = nn.Embedding(num_classes, widths[-1]) if num_classes else None
        doublings = len(sizes) - 1
        while max(sizes[-1]) * 2**doublings > reconstruction_size and doublings > 1:
            doublings -= 1
        self.whole = _Decoder(widths[-1], width, channels, doublings, batch_norm)
        self.part = _Decoder(widths[-2], width, channels, doublings, batch_norm) if len(widths) > 1 else None
        _initialise(self, batch_norm)
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, 0.0, 0.02)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._logits(self._features(images)[-1], labels)

    def score_with_auxiliary(
        self, images: Tensor, labels: Tensor | None, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The logits [N], and how far the reconstructions are from the `images` [N]: mean absolute differences."""
        features = self._features(images)
        error = _difference(self.whole(features[-1]), images)
        if self.part is not None:
            quarters = (4 * draw(torch.rand, (len(images), 1), rng, device=images.device)).long().squeeze(1)
            part = self.part(_quarter(channels_last(features[-2]), quarters))
            error = error + _difference(part, _quarter(images, quarters))
        return self._logits(features[-1], labels), error

    def _features(self, images: Tensor) -> list[Tensor]:
        """Of each stage, the image's size first."""
        return _of_each_stage(self.stages, self.excitations, self.from_image(images))

    def _logits(self, features: Tensor, labels: Tensor | None) -> Tensor:
        last = self.last(features)
        logits = in_full_precision(self.patches, last).mean(dim=(1, 2, 3))
        if self.embed is not None:
            logits = logits + torch.sum(self.embed(labels) * last.mean(dim=(2, 3)), dim=1)
        return logits


def _quarter(images: Tensor, quarters: Tensor) -> Tensor:
    """One quarter of each image [N, C, H, W]: the upper left for 0, upper right, lower left, lower right for 3."""
    images = _even(images)
    count, channels, height, width = images.shape
    halves = images.reshape(count, channels, 2, height // 2, 2, width // 2)
    return halves[torch.arange(count, device=images.device), :, quarters // 2, :, quarters % 2]


def _difference(reconstructions: Tensor, images: Tensor) -> Tensor:
    """The mean absolute difference [N] to the `images`, at the size of the reconstructions."""
    targets = interpolate(images, size=reconstructions.shape[2:], mode="area")
    return (reconstructions - targets).abs().flatten(1).mean(dim=1)
