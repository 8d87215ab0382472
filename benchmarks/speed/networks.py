"""The peers' networks and the common data in the form that our configuration builds (`_target_`, with --trust).

The peers' own loops use the same classes with a sigmoid behind D, so that both sides compute the same networks.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from benchmarks.speed.data import load_images
from gan_exp.data.packed import PackedImages
from gan_exp.ranges import ImageShape, PositiveInt

PEERS_EPS = 0.8  # the peers hand BatchNorm what was meant as a momentum; it is part of their network


def digits(count: PositiveInt = 60_000, size: PositiveInt = 28, root: str | None = None) -> PackedImages:
    """The data set of every loop in the benchmark."""
    return PackedImages(torch.from_numpy(load_images(count, size, root)).unsqueeze(1))


class MLPGenerator(nn.Module):
    """100-128-256-512-1024-784, LeakyReLU 0.2, BatchNorm on the middle three, tanh (PyTorch-GAN's gan.py)."""

    def __init__(self, latent_dim: int, image_shape: ImageShape) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(latent_dim, 128), nn.LeakyReLU(0.2, inplace=True)]
        for inputs, outputs in pairwise((128, 256, 512, 1024)):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, PEERS_EPS), nn.LeakyReLU(0.2, inplace=True)]
        pixels = torch.Size(image_shape).numel()
        self.layers = nn.Sequential(*layers, nn.Linear(1024, pixels), nn.Tanh(), nn.Unflatten(1, tuple(image_shape)))

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images

    def chain(self) -> list[nn.Module]:
        return [*self.layers]


class MLPDiscriminator(nn.Module):
    """784-512-256-1, LeakyReLU 0.2; logits [N]."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__()
        pixels = torch.Size(image_shape).numel()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, 512),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(512, 256),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(256, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)

    def chain(self) -> list[nn.Module]:
        return [*self.layers]


class UpsampledConv(nn.Module):
    """Nearest x2, then a 3x3 convolution of padding 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2)
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        upsampled: Tensor = self.convolution(self.upsample(features))
        return upsampled


class FoldedConv(UpsampledConv):
    """The same function of the same parameters as one 4x4 transposed convolution of stride 2: 2.25 times less work.

    Each output pixel sees only two different inputs a side, so that two of the three taps fall on one input and add up:
    [w2, w1 + w2, w0 + w1, w0] along each side.
    """

    fold: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        side = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
        self.register_buffer("fold", torch.kron(side, side), persistent=False)  # [16, 9]

    def forward(self, features: Tensor) -> Tensor:
        outputs, inputs = self.convolution.weight.shape[:2]
        taps = self.convolution.weight.permute(2, 3, 0, 1).reshape(9, outputs * inputs)
        folded = (self.fold @ taps).view(4, 4, outputs, inputs)
        upsampled = conv_transpose2d(features, folded.permute(3, 2, 0, 1), stride=2, padding=1)
        assert self.convolution.bias is not None
        return upsampled.add_(self.convolution.bias.view(-1, 1, 1))  # oneDNN takes as long for a bias as for weights


class ChannelsLast(nn.Module):
    """The same numbers in the layout that the convolutions prefer, before layers that would keep another."""

    def forward(self, features: Tensor) -> Tensor:
        return features.contiguous(memory_format=torch.channels_last)


class ThinConv(nn.Conv2d):
    """A 3x3 convolution of padding 1 to so few channels that it is faster as a matrix product whose columns are added.

    Not one product for each output pixel's neighbourhood, but one for each input pixel: what it adds to its neighbours.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        pixels = features.permute(0, 2, 3, 1).reshape(count, height * width, channels)
        parts = pixels @ self.weight.flip(2, 3).transpose(0, 1).reshape(channels, -1)  # [N, H W, out 9]
        assert self.bias is not None
        return nn.functional.fold(parts.transpose(1, 2), (height, width), 3, padding=1) + self.bias.view(-1, 1, 1)


class DCGANGenerator(nn.Module):
    """Linear to 128 channels at a quarter of the side, twice nearest x2 and conv3x3, conv3x3 to the image, tanh."""

    def __init__(self, latent_dim: int, image_shape: ImageShape, folded: bool = False) -> None:
        super().__init__()
        channels, height, width = image_shape
        upsampled = FoldedConv if folded else UpsampledConv
        start = (128, height // 4, width // 4)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, torch.Size(start).numel()),
            nn.Unflatten(1, start),
            ChannelsLast() if folded else nn.Identity(),
            nn.BatchNorm2d(128),
            upsampled(128, 128),
            nn.BatchNorm2d(128, PEERS_EPS),
            nn.LeakyReLU(0.2, inplace=True),
            upsampled(128, 64),
            nn.BatchNorm2d(64, PEERS_EPS),
            nn.LeakyReLU(0.2, inplace=True),
            ThinConv(64, channels) if folded else nn.Conv2d(64, channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class DCGANDiscriminator(nn.Module):
    """Four conv3x3 of stride 2 (16-32-64-128), LeakyReLU, Dropout2d 0.25, BatchNorm but on the first; logits [N]."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__()
        channels, height, width = image_shape
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, 16, 32, 64, 128)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
            layers += [nn.Dropout2d(0.25), *([nn.BatchNorm2d(outputs, PEERS_EPS)] if inputs > channels else [])]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * (height // 16) * (width // 16), 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)


def check_folding(inputs: int = 12, outputs: int = 7) -> None:
    """Raises AssertionError unless the faster layers have the plain ones' outputs and gradients."""
    plain, folded = UpsampledConv(inputs, outputs).double(), FoldedConv(inputs, outputs).double()
    _check_same(plain, folded, inputs)
    _check_same(nn.Conv2d(inputs, outputs, 3, padding=1).double(), ThinConv(inputs, outputs).double(), inputs)


def _check_same(plain: nn.Module, faster: nn.Module, inputs: int) -> None:
    faster.load_state_dict(plain.state_dict())
    found = []
    for layer in (plain, faster):
        features = torch.linspace(-1, 1, 2 * inputs * 5 * 8, dtype=torch.double).view(2, inputs, 5, 8).requires_grad_()
        result = layer(features)
        gradients = torch.autograd.grad(result.square().sum(), [features, *layer.parameters()])
        found.append([result, *gradients])
    torch.testing.assert_close(found[1], found[0])
