"""Inputs of both networks whose values mean nothing, to see what the networks do with their shapes."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.ranges import ImageShape


class Examples(NamedTuple):
    """The arguments: latents [N, latent_dim], or images [N, C * pac, H, W], and labels [N] in a conditional run."""

    generator: list[Tensor]
    discriminator: list[Tensor]


def example_inputs(
    rows: int,
    latent_dim: int,
    image_shape: ImageShape,
    pac: int = 1,
    conditional: bool = False,
    device: torch.device | str = "cpu",
) -> Examples:
    channels, height, width = image_shape
    latents = torch.zeros(rows, latent_dim, device=device)
    images = torch.zeros(rows, channels * pac, height, width, device=device)
    labels = [torch.zeros(rows, dtype=torch.long, device=device)] if conditional else []
    return Examples([latents, *labels], [images, *labels])
