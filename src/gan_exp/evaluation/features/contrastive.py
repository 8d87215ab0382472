"""A network that learns features without labels: it tells which two changed views are of the same image.

SimCLR (Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations"), small enough for a
CPU. Views differ in crop, tilt and colours but are never mirrored: mirrored samples are other images than the data's.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from gan_exp.evaluation.features.networks import Shrink, convolution
from gan_exp.metrics.embedding import Embedding
from gan_exp.ranges import ImageShape

FEATURES = 128
TEMPERATURE = 0.2
LEAST_AREA = 0.4  # of a view, as a share of the image's
TILT = 0.2  # radians, at most
COLOUR = 0.4  # at most: brightness in units of half the range, the logarithm of contrast


class Contrastive(nn.Module):
    """Four convolutions with BatchNorm and a dense layer that sees where each part is.

    Early are the averages of the second convolution's 64 channels. `head` serves the loss alone.
    """

    def __init__(self, image_shape: ImageShape, num_classes: int = 0) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape)
        channels, height, width = self.shrink.shape
        self.first = nn.Sequential(*convolution(channels, 32, stride=2), *convolution(32, 64, stride=2))
        self.rest = nn.Sequential(*convolution(64, 128), *convolution(128, 64, stride=2), nn.Flatten())
        height, width = (math.ceil(math.ceil(math.ceil(side / 2) / 2) / 2) for side in (height, width))
        self.dense = nn.Linear(64 * height * width, FEATURES)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES))

    def forward(self, images: Tensor) -> Embedding:
        early = self.first(self.shrink(images).contiguous(memory_format=torch.channels_last))
        return Embedding(self.dense(self.rest(early)), None, early.mean(dim=(2, 3)))

    def loss(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Each view must find the other one of its image among all views of the batch."""
        images = self.shrink(images)
        views = torch.cat([view(images, rng), view(images, rng)])
        found = normalize(self.head(self(views).features))
        count = len(images)
        likeness = (found @ found.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return cross_entropy(likeness, torch.arange(2 * count, device=images.device).roll(count))


def view(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images [N, C, H, W] in [-1, 1], each cropped, tilted and coloured at random by `rng`, which is on the CPU.

    A fourth channel, alpha, is cropped and tilted alone: what is transparent stays without colour.
    """
    image_count, channels = images.shape[:2]
    numbers = torch.rand(8, image_count, generator=rng).mul(2).sub(1).to(images.device)  # in [-1, 1]
    side = (LEAST_AREA + (1 - LEAST_AREA) * (numbers[0] + 1) / 2).sqrt()
    wide, tall = side * (0.2 * numbers[1]).exp(), side / (0.2 * numbers[1]).exp()
    angle = TILT * numbers[2]
    right, down = numbers[3] * (1 - wide).clamp(min=0.05), numbers[4] * (1 - tall).clamp(min=0.05)
    rows = (
        torch.stack([wide * angle.cos(), -tall * angle.sin(), right], dim=1),
        torch.stack([wide * angle.sin(), tall * angle.cos(), down], dim=1),
    )
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    cropped = grid_sample(images, grid, padding_mode="border", align_corners=False)
    colours, alpha = cropped[:, :3], cropped[:, 3:]
    ground = (alpha + 1) / 2 if channels == 4 else 1.0
    if colours.shape[1] == 3:
        gray = colours.mean(dim=1, keepdim=True)
        colours = gray + (colours - gray) * (1 + 0.5 * _each(numbers[5]))
    colours = colours * (COLOUR * _each(numbers[6])).exp() + COLOUR * _each(numbers[7]) * ground
    return torch.cat([colours, alpha], dim=1)


def _each(numbers: Tensor) -> Tensor:
    """[N, 1, 1, 1]"""
    return numbers.view(-1, 1, 1, 1)
