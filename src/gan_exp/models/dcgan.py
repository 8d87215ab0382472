"""DCGAN (Radford et al. 2016, "Unsupervised Representation Learning with ... GANs"), for any image size."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from gan_exp.models.activation import LeakyReLU
from gan_exp.models.parts import LabelEmbedding, in_full_precision, stage_sizes, stage_widths
from gan_exp.ranges import ImageShape, NonNegativeFloat, PositiveInt


def _initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02) as in section 4 of the paper; BatchNorm's gain N(1, 0.02) as in its authors' code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class _Blur(nn.Module):
    """The filter [1, 2, 1] / 4 in both directions, of each channel; it lets nothing of a checkerboard through."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", torch.outer(taps, taps).view(1, 1, 3, 3), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 3, 3)
        return conv2d(pad(features, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)


class _Upsample(nn.Module):
    """A 4x4 transposed convolution of stride 2, cut to `size` where the image's side is odd."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], bias: bool) -> None:
        super().__init__()
        self.size = size
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        height, width = self.size
        upsampled: Tensor = self.convolution(features)
        return upsampled[:, :, :height, :width]


class DCGANGenerator(nn.Module):
    """Linear to the coarsest size, BatchNorm and ReLU, then one upsampling stage for each doubling; tanh at the end.

    `hidden` are the units of dense layers between the latents and the coarsest size, as in the article's MLP: first
    LeakyReLU, then BatchNorm (the other way round is worse). They shape the image, of which convolutions see parts.
    `antialias` blurs after each upsampling (Karras et al. 2020, "StyleGAN2"), which removes the checkerboard.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        width: PositiveInt = 64,
        max_width: PositiveInt = 512,
        hidden: Sequence[PositiveInt] = (),
        antialias: bool = False,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        channels, *image_size = image_shape
        sizes = stage_sizes("dcgan", *image_size)
        widths = [*stage_widths(len(sizes) - 1, width, max_width), channels]
        self.start_shape = (widths[0], *sizes[0])
        self.label = LabelEmbedding(num_classes)
        features = latent_dim + self.label.dim
        dense: list[nn.Module] = []
        for units in hidden:
            dense += [nn.Linear(features, units), nn.LeakyReLU(0.2), nn.BatchNorm1d(units)]
            features = units
        self.dense = nn.Sequential(*dense) if dense else None
        self.project = nn.Linear(features, widths[0] * sizes[0][0] * sizes[0][1], bias=False)
        stages: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for (inputs, outputs), size in zip(pairwise(widths), sizes[1:], strict=True):
            last = size == sizes[-1]
            stages += [_Upsample(inputs, outputs, size, bias=last), *([_Blur()] if antialias else [])]
            stages += [nn.Tanh()] if last else [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.apply(_initialise)
        for layer in (*dense, self.project) if dense else ():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)  # as in the article's MLP

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        inputs = self.label(latents, labels)
        if self.dense is not None:
            inputs = self.dense(inputs)
        features = self.project(inputs).view(-1, *self.start_shape)
        # Like all later features; BatchNorm's backward pass is 20 times slower with two different layouts.
        features = features.contiguous(memory_format=torch.channels_last)
        images: Tensor = self.stages(features)
        return images


class DCGANDiscriminator(nn.Module):
    """4x4 convolutions of stride 2 with LeakyReLU, BatchNorm on all but the first, then one logit.

    `hidden` are the units of dense layers with LeakyReLU before the logit, which see the whole image at once; without
    them, as in the paper, the logit is a sum over places of which each sees a part. `antialias` blurs before each
    convolution (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again").

    Conditional: the inner product of the features with the label's embedding is added (Miyato and Koyama 2018, "cGANs
    with Projection Discriminator", equation 3). `batch_norm=False` is for penalties on each image's gradient.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        width: PositiveInt = 64,
        max_width: PositiveInt = 512,
        leak: NonNegativeFloat = 0.2,
        batch_norm: bool = True,
        hidden: Sequence[PositiveInt] = (),
        antialias: bool = False,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.per_image = not batch_norm
        channels, *image_size = image_shape
        sizes = stage_sizes("dcgan", *image_size)[::-1]
        widths = [channels, *stage_widths(len(sizes) - 1, width, max_width)[::-1]]
        stages: list[nn.Module] = []
        for (inputs, outputs), (height, width_) in zip(pairwise(widths), sizes[:-1], strict=True):
            first = not stages
            if antialias:
                stages.append(_Blur())
            # An odd side is padded by one pixel more, so that D passes through the same sizes as G.
            if height % 2 or width_ % 2:
                stages.append(nn.ZeroPad2d((0, width_ % 2, 0, height % 2)))
            stages.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=first or not batch_norm))
            if batch_norm and not first:
                stages.append(nn.BatchNorm2d(outputs))
            stages.append(LeakyReLU(leak))
        height, width_ = sizes[-1]
        stages.append(nn.Flatten())
        features = widths[-1] * height * width_
        for units in hidden:
            stages += [nn.Linear(features, units), LeakyReLU(leak)]
            features = units
        self.stages = nn.Sequential(*stages, nn.Linear(features, 1))
        self.embed = nn.Embedding(num_classes, features) if num_classes else None
        self.apply(_initialise)
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, 0.0, 0.02)  # as the linear layer

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.stages[:-1](images)
        logits = in_full_precision(self.stages[-1], features).squeeze(1)
        if self.embed is not None:
            logits = logits + torch.sum(self.embed(labels) * features, dim=1)
        return logits
