"""Convolutions with a doubling or halving folded into their weights, against the two one after the other."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gan_exp.models.folding import convolve_doubled, convolve_halved
from kernels import Kernels


def plain_doubled(layer: nn.Conv2d, size: tuple[int, int], features: Tensor) -> Tensor:
    return layer(interpolate(features, size))  # type: ignore[no-any-return]


def plain_halved(layer: nn.Conv2d, features: Tensor) -> Tensor:
    return avg_pool2d(layer(features), 2, ceil_mode=True)


def derivatives(function: Callable[[Tensor], Tensor], layer: nn.Conv2d, features: Tensor) -> list[Tensor]:
    """The results, their gradients, and those of the gradient's squared norm, as a penalty has them."""
    features = features.clone().requires_grad_()
    results = function(features)
    (gradient,) = torch.autograd.grad(results.sin().sum(), features, create_graph=True)
    inputs = [features, *layer.parameters()]
    second = torch.autograd.grad(gradient.square().sum(), inputs, retain_graph=True, allow_unused=True)
    first = torch.autograd.grad(results.cos().sum(), inputs)
    return [results, gradient, *first, *(each for each in second if each is not None)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [((6, 6), (12, 12)), ((5, 7), (10, 14)), ((6, 6), (11, 11)), ((8, 6), (16, 11)), ((1, 1), (2, 2))],
)
def test_a_doubled_image(before: tuple[int, int], after: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=bias, dtype=torch.float64)
    features = torch.randn(2, 3, *before, dtype=torch.float64)
    folded = partial(convolve_doubled, layer, size=after)
    assert_same(
        derivatives(folded, layer, features), derivatives(partial(plain_doubled, layer, after), layer, features)
    )


@pytest.mark.parametrize("size", [(12, 12), (10, 14), (13, 13), (14, 11), (2, 2)])
def test_means_of_two_by_two(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1, dtype=torch.float64)
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    assert_same(
        derivatives(partial(convolve_halved, layer), layer, features),
        derivatives(partial(plain_halved, layer), layer, features),
    )


@pytest.mark.parametrize(("side", "folded"), [(8, True), (4, False)])
def test_one_convolution_and_no_larger_image(side: int, folded: bool) -> None:
    """Of few pixels the weights are the larger part."""
    layer, small, large = (
        nn.Conv2d(3, 3, 3, padding=1),
        torch.randn(1, 3, side, side),
        torch.randn(1, 3, 2 * side, 2 * side),
    )
    with Kernels() as kernels:
        assert convolve_doubled(layer, small).shape == large.shape
        assert convolve_halved(layer, large).shape == small.shape
    assert kernels.counts["convolution"] == 2
    assert kernels.counts["upsample_nearest2d"] == (not folded)
    assert kernels.counts["avg_pool2d"] == (2 if folded else 1)  # of weights or of the image
