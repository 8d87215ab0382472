"""How many images a network is given at a time outside of training."""

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec
from gan_exp.models.sampling import at_once
from gan_exp.training.grid import SampleGrid


def test_fewer_of_large_images() -> None:
    sides = (1, 28, 64, 65, 128, 256, 4096)
    assert [at_once(side, side) for side in sides] == [256, 256, 256, 128, 64, 16, 1]


def test_a_grid_of_large_images_is_made_in_parts() -> None:
    given = []

    class Blank(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            given.append(len(latents))
            return torch.zeros(len(latents), 1, 256, 256)

    grid = SampleGrid(DataSpec((1, 256, 256)), 0, 4, 5, 5, False, torch.device("cpu"))
    assert grid.of_generator(Blank()).shape == (25, 1, 256, 256) and given == [16, 9]
