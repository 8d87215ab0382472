"""Mixtures of Gaussians from the literature on mode coverage: points of the plane, with the mode as label."""

import torch

from gan_exp.data.packed import Mixture, PackedImages, Part
from gan_exp.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from gan_exp.runtime.randomness import Streams


def ring(
    modes: PositiveInt = 8,
    radius: PositiveFloat = 1.0,
    sigma: PositiveFloat = 0.01,
    count: PositiveInt = 100_000,
    seed: NonNegativeInt = 0,
    part: Part = "train",
) -> PackedImages:
    """`modes` Gaussians evenly spaced on a circle (VEEGAN, Srivastava et al. 2017; PacGAN, Lin et al. 2018)."""
    angles = torch.arange(modes) * (2 * torch.pi / modes)
    centers = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    return _draw(Mixture(centers, sigma), count, seed, part, extent=1.5 * radius)


def grid(
    side: PositiveInt = 5,
    spacing: PositiveFloat = 2.0,
    sigma: PositiveFloat = 0.05,
    count: PositiveInt = 100_000,
    seed: NonNegativeInt = 0,
    part: Part = "train",
) -> PackedImages:
    """`side` x `side` Gaussians, `spacing` apart, centred on the origin (from the same papers)."""
    line = (torch.arange(side) - (side - 1) / 2) * spacing
    centers = torch.cartesian_prod(line, line)
    return _draw(Mixture(centers, sigma), count, seed, part, extent=(side + 0.5) / 2 * spacing)


def _draw(mixture: Mixture, count: int, seed: int, part: Part, extent: float) -> PackedImages:
    """`count` points, drawn separately for each part.

    `seed` is the data's and not the run's, so that runs with different seeds share the same data.
    """
    streams, step, centers = Streams(seed), int(part == "held_out"), mixture.centers
    labels = torch.randint(len(centers), (count,), generator=streams.at(step, "modes"))
    noise = torch.randn(count, 2, generator=streams.at(step, "noise"))
    points = centers[labels] + mixture.sigma * noise
    return PackedImages(points.view(count, 2, 1, 1), labels, tuple(map(str, range(len(centers)))), extent, mixture)
