"""How many images a network is given at a time outside of training."""

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec
from gan_exp.evaluation.sampling import Sampler
from gan_exp.models.sampling import at_once
from gan_exp.training.grid import SampleGrid


def test_fewer_of_large_images() -> None:
    sides = (1, 28, 32, 64, 65, 128, 256, 257, 4096)
    assert [at_once((3, side, side)) for side in sides] == [256, 256, 256, 64, 32, 16, 16, 8, 1]


class Blank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.given: list[int] = []

    def forward(self, latents: Tensor) -> Tensor:
        self.given.append(len(latents))
        return torch.zeros(len(latents), 1, 256, 256)


def test_a_grid_of_large_images_is_made_in_parts() -> None:
    generator = Blank()
    grid = SampleGrid(DataSpec((1, 256, 256)), 0, 4, 5, 5, False, torch.device("cpu"))
    assert grid.of_generator(generator).shape == (25, 1, 256, 256) and generator.given == [16, 9]


def test_so_are_samples_to_be_evaluated() -> None:
    generator = Blank()
    samples = Sampler(generator, DataSpec((1, 256, 256)))(torch.zeros(20, 4), None)
    assert samples.shape == (20, 1, 256, 256) and generator.given == [16, 4]
