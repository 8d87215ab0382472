"""The networks whose features images are compared in: three classifiers that differ in design, and an autoencoder.

All take floats in [-1, 1], [N, C, H, W], of which larger ones are averaged down first.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, mse_loss

from gan_exp.evaluation.features.extractor import prepare
from gan_exp.metrics.embedding import Embedding
from gan_exp.models.sampling import at_once
from gan_exp.ranges import ImageShape

LARGEST_SIDE = 32  # of the shorter side; larger images are averaged down, or training would take hours on a CPU
SMALLEST_SIDE = 8
HIDDEN = 128  # units of the last hidden layer of classifiers that keep the layout
CODE = 64  # numbers to which the autoencoder reduces an image
NOISE = 0.2  # standard deviation of what the autoencoder removes; black to white is 2


class Shrink(nn.Module):
    """Averages images down to a shorter side of at most `largest`; those of the resulting `shape` stay as they are."""

    def __init__(self, image_shape: ImageShape, largest: int = LARGEST_SIDE) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.factor = max(1, math.ceil(min(height, width) / largest))
        self.shape = channels, math.ceil(height / self.factor), math.ceil(width / self.factor)

    def forward(self, images: Tensor) -> Tensor:
        return images if images.shape[1:] == self.shape else avg_pool2d(images, self.factor, ceil_mode=True)


def prepare_small(images: Tensor, shrink: nn.Module) -> Tensor:
    """`shrink(prepare(images))` of uint8 images, of large ones a few at a time: their floats would take most memory.

    Each image is averaged by itself, so that no number depends on how many go together.
    """
    channels, height, width = images.shape[1:]
    return torch.cat([shrink(prepare(part)) for part in images.split(at_once((channels, height, width)))])


class AveragingClassifier(nn.Module):
    """3x3 convolutions with BatchNorm and ReLU, halved until the shorter side is below eight pixels, then averaged.

    So it sees which parts an image has, and hardly where. Early are the averages of the first 64 channels.
    """

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape)
        channels, height, width = self.shrink.shape
        side = min(height, width)
        layers: list[nn.Module] = convolution(channels, 16)
        inputs, outputs = 16, 64
        while side >= SMALLEST_SIDE or outputs == 64:
            if side >= SMALLEST_SIDE:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            layers += [*convolution(inputs, outputs // 2), *convolution(outputs // 2, outputs)]
            if outputs == 64:
                self.early_layers = len(layers)
            inputs, outputs = outputs, 128
            side = math.ceil(side / 2)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: Tensor) -> Embedding:
        early = self.layers[: self.early_layers](self.shrink(images).contiguous(memory_format=torch.channels_last))
        averages = early.mean(dim=(2, 3))
        last = self.layers[self.early_layers :](early)
        return Embedding(last, self.head(last), averages)


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class LeNet(nn.Module):
    """Two 5x5 convolutions and a dense layer that sees where each part is (LeCun et al. 1998, "Gradient-Based Learning
    Applied to Document Recognition"), with ReLU. Early are the averages of the second convolution's 32 channels.
    """

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape)
        channels, height, width = self.shrink.shape
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(channels, 16, 5, padding=2), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(inplace=True)),
            *(nn.Conv2d(16, 32, 5, padding=2), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(inplace=True)),
        )
        self.dense = nn.Linear(32 * math.ceil(height / 4) * math.ceil(width / 4), HIDDEN)
        self.head = nn.Linear(HIDDEN, num_classes)

    def forward(self, images: Tensor) -> Embedding:
        early = self.convolutions(self.shrink(images).contiguous(memory_format=torch.channels_last))
        last = self.dense(early.flatten(1)).relu()
        return Embedding(last, self.head(last), early.mean(dim=(2, 3)))


class MLP(nn.Module):
    """Dense layers of 256, 256 and 128 units with ReLU: each sees all pixels. Early is the first of them."""

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape)
        self.first = nn.Linear(math.prod(self.shrink.shape), 256)
        self.rest = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, HIDDEN), nn.ReLU())
        self.head = nn.Linear(HIDDEN, num_classes)

    def forward(self, images: Tensor) -> Embedding:
        early = self.first(self.shrink(images).flatten(1)).relu()
        last = self.rest(early)
        return Embedding(last, self.head(last), early)


class Autoencoder(nn.Module):
    """Learns without labels to restore an image from which it was given with noise, by way of 64 numbers.

    These are its features (Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
    Autoencoders"). Early are the averages of the second convolution's 32 channels.
    """

    def __init__(self, image_shape: ImageShape, num_classes: int = 0) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape)
        channels, height, width = self.shrink.shape
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(inplace=True)),
        )
        self.code = nn.Linear(32 * math.ceil(height / 4) * math.ceil(width / 4), CODE)
        self.restore = nn.Sequential(nn.Linear(CODE, 256), nn.ReLU(), nn.Linear(256, channels * height * width))

    def forward(self, images: Tensor) -> Embedding:
        early = self.convolutions(self.shrink(images).contiguous(memory_format=torch.channels_last))
        return Embedding(self.code(early.flatten(1)), None, early.mean(dim=(2, 3)))

    def loss(self, images: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=rng).to(images.device)
        return mse_loss(self.restore(self(images + NOISE * noise).features), self.shrink(images).flatten(1))
