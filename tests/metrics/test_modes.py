import math

import exact
import pytest
import torch

from gan_exp.metrics.modes import count_labels, cover_labels, cover_mixture, join_digits, kl_divergence

CENTERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def test_mixture_written_out() -> None:
    """Two good samples at the first mode, one at the second, one lost near the third: two modes of four."""
    points = torch.tensor([[0.0, 0.0], [0.02, 0.02], [1.029, 0.0], [0.0, 1.031]])
    found = cover_mixture(points, CENTERS, sigma=0.01)
    assert found.modes == 2
    assert found.high_quality == 0.75
    p = torch.tensor([0.5, 0.25, 0.25]).double()  # the lost one falls to the third mode too
    assert found.kl == pytest.approx((p * (p / 0.25).log()).sum().item())


def test_samples_of_the_mixture_itself() -> None:
    """Of a Gaussian of the plane, exp(-9/2) lies beyond three sigmas."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (20_000,), generator=generator)
    points = CENTERS[labels] + 0.05 * torch.randn(20_000, 2, generator=generator)
    found = cover_mixture(points, CENTERS, sigma=0.05)
    assert found.modes == 4
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=2e-3)
    assert found.kl < 1e-3


@pytest.mark.parametrize("offset", [0.0, 300.0, -1e5])
def test_a_mixture_far_from_zero(offset: float) -> None:
    """Against all differences, in float64."""
    generator = torch.Generator().manual_seed(1)
    centers = CENTERS + offset
    points = centers[torch.randint(3, (300,), generator=generator)] + 0.05 * torch.randn(300, 2, generator=generator)
    apart = exact.distances(points, centers)
    found = cover_mixture(points, centers, sigma=0.02)
    assert found.high_quality == pytest.approx((apart.min(axis=1) <= 3 * 0.02).mean())
    assert found.modes == len(set(apart.argmin(axis=1)[apart.min(axis=1) <= 3 * 0.02]))


def test_a_point_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="points: contains values that are not finite"):
        cover_mixture(torch.tensor([[0.0, math.nan]]), CENTERS, sigma=0.01)


def test_labels() -> None:
    found = cover_labels(torch.tensor([0, 0, 2, 2]), torch.tensor([10, 10, 20, 0]))
    assert found.modes == 2
    assert found.kl == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.5))
    assert cover_labels(torch.tensor([3]), torch.tensor([1, 1, 1, 0])).kl == math.inf
    assert cover_labels(torch.arange(1000), torch.ones(1000)) == (1000, pytest.approx(0, abs=1e-12))
    assert cover_labels(torch.zeros(50, dtype=torch.long), torch.ones(1000)).kl == pytest.approx(math.log(1000))


def test_counts() -> None:
    assert count_labels(torch.tensor([1, 1, 3]), 5).tolist() == [0, 2, 0, 1, 0]
    assert kl_divergence(torch.tensor([3, 1]), torch.tensor([6, 2])) == pytest.approx(0)


def test_digits() -> None:
    assert join_digits(torch.tensor([[0, 0, 7], [4, 2, 0], [9, 9, 9]])).tolist() == [7, 420, 999]
