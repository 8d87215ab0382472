"""The mixtures of Gaussians against their published protocols."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from gan_exp.data.packed import Batches, PackedImages, normalise
from gan_exp.data.toys import grid, ring

RING = torch.tensor([[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)])
GRID = torch.tensor([[x, y] for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)])
TOYS = pytest.mark.parametrize(("make", "centers", "sigma"), [(ring, RING, 0.01), (grid, GRID, 0.05)])
Make = Callable[..., PackedImages]


def points_of(data: PackedImages) -> Tensor:
    assert data.images.dtype == torch.float32 and data.images.shape[1:] == (2, 1, 1)
    return data.images[:, :, 0, 0]


@TOYS
def test_the_published_mixture(make: Make, centers: Tensor, sigma: float) -> None:
    data = make()
    points = points_of(data)
    assert len(points) == 100_000 and data.labels is not None
    assert data.classes == tuple(str(k) for k in range(len(centers))) and data.spec.num_classes == len(centers)

    # The label is the nearest centre, and all are equally likely.
    assert torch.equal(torch.cdist(points, centers).argmin(dim=1), data.labels)
    assert stats.chisquare(torch.bincount(data.labels)).pvalue > 1e-3

    # An isotropic Gaussian of standard deviation sigma around each centre.
    deviations = (points - centers[data.labels]).double() / sigma
    assert stats.kstest(deviations.flatten(), "norm").pvalue > 1e-3
    assert deviations.T.corrcoef()[0, 1].abs() < 0.02
    for mode in range(len(centers)):
        mine = deviations[data.labels == mode]
        assert mine.mean(dim=0).abs().max() < 5 / math.sqrt(len(mine))
        assert (mine.std(dim=0) - 1).abs().max() < 0.1


@TOYS
def test_the_plot_holds_all_points(make: Make, centers: Tensor, sigma: float) -> None:
    data = make()
    assert data.extent is not None and data.spec.extent == data.extent
    assert centers.abs().max() < points_of(data).abs().max() < data.extent < 2 * centers.abs().max()


@TOYS
def test_the_datas_seed(make: Make, centers: Tensor, sigma: float) -> None:
    assert torch.equal(make(count=50, seed=3).images, make(count=50, seed=3).images)
    assert not torch.equal(make(count=50, seed=3).images, make(count=50, seed=4).images)


def test_other_mixtures() -> None:
    two = ring(modes=2, radius=3.0, sigma=1e-4, count=100)
    assert two.labels is not None
    expected = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])[two.labels]
    torch.testing.assert_close(points_of(two), expected, rtol=0, atol=1e-3)
    four = grid(side=2, spacing=1.0, sigma=1e-4, count=100)
    assert {tuple(point) for point in (points_of(four) * 2).round().tolist()} == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    assert points_of(grid(side=1, sigma=1e-4, count=10)).abs().max() < 1e-2


def test_points_are_not_normalised() -> None:
    data = ring(count=100)
    images, labels = Batches(data, 10, "shuffled", 0).draw(0)
    assert labels is not None
    assert torch.equal(normalise(images), images)
    assert torch.equal(torch.cdist(images[:, :, 0, 0], RING).argmin(dim=1), labels)
