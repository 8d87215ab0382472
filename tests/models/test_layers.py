"""Convolutions and resampling whose derivatives are of their own kind."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad
from torch.nn.functional import conv2d

from gan_exp.models import layers
from gan_exp.models.activation import activate
from gan_exp.models.layers import (
    _by_matrices,
    _resampled,
    channels_last,
    convolve,
    pointwise,
    pointwise_product,
    resample,
    small_convolution,
)
from kernels import Kernels

EXACT = torch.float64


def arguments(requires_grad: bool = True) -> list[Tensor]:
    """Inputs, weight and bias of a convolution in two groups."""
    torch.manual_seed(0)
    shapes = ((2, 4, 3, 3), (4, 2, 3, 3), (4,))
    return [torch.randn(shape, dtype=EXACT, requires_grad=requires_grad) for shape in shapes]


def test_a_convolution_is_differentiable_twice_in_all_arguments() -> None:
    def convolved(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(inputs, weight, bias, 2)

    assert gradcheck(convolved, arguments()) and gradgradcheck(convolved, arguments())


def test_a_pointwise_convolution_is_differentiable_twice_in_all_arguments() -> None:
    given = [torch.randn(shape, dtype=EXACT, requires_grad=True) for shape in ((2, 3, 2, 2), (5, 3, 1, 1), (5,))]
    assert gradcheck(pointwise, given) and gradgradcheck(pointwise, given)


def test_a_product_over_all_pixels_is_a_pointwise_convolution() -> None:
    given = [torch.randn(shape, dtype=EXACT, requires_grad=True) for shape in ((2, 3, 2, 4), (5, 3, 1, 1), (5,))]
    leak = partial(activate, leak=0.2)
    torch.testing.assert_close(pointwise_product(*given, leak), pointwise(*given, leak), rtol=1e-14, atol=1e-14)
    assert gradcheck(pointwise_product, (*given, leak)) and gradgradcheck(pointwise_product, (*given, leak))


def test_no_view_of_a_product_is_overwritten() -> None:
    """torch would copy its gradient several times."""
    features = torch.randn(2, 3, 2, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(5, 3, 1, 1, requires_grad=True)
    results = pointwise_product(features, weight, None, partial(activate, leak=0.2))
    with Kernels() as kernels:
        (gradient,) = torch.autograd.grad(results.square().sum(), features, create_graph=True)
        gradient.square().sum().backward()
    assert kernels.counts["leaky_relu_backward"] >= 2
    assert not kernels.counts["copy_"] and not kernels.counts["clone"]


def test_torch_func_differentiates_them_too() -> None:
    """It refuses Functions such as theirs."""
    inputs, weight, bias = arguments(requires_grad=False)

    def summed(inputs: Tensor) -> Tensor:
        return resample(channels_last(convolve(inputs, weight, bias, 2)), up=True).square().sum()

    inputs.requires_grad_()
    (wanted,) = torch.autograd.grad(summed(inputs), inputs)
    torch.testing.assert_close(grad(summed)(inputs.detach()), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("up", [True, False])
def test_resampling_is_differentiable_any_number_of_times(up: bool) -> None:
    features = torch.randn(2, 3, 4, 6, dtype=EXACT, requires_grad=True)

    def cubed(features: Tensor) -> Tensor:
        return resample(features, up) ** 3

    assert gradcheck(cubed, features) and gradgradcheck(cubed, features)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_all_devices_resample_alike(up: bool, layout: torch.memory_format) -> None:
    """A GPU does it by matrices; `_resampled` is a CPU's way here."""
    features = torch.randn(2, 5, 6, 8, dtype=EXACT).to(memory_format=layout)
    torch.testing.assert_close(_by_matrices(features, up, 0.5), _resampled(features, up, 0.5), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("size", [(4, 4), (2, 3), (1, 4)], ids=str)
def test_a_small_convolution_is_one(size: tuple[int, int]) -> None:
    inputs, weight = torch.randn(3, 4, *size, dtype=EXACT), torch.randn(4, 2, 3, 3, dtype=EXACT)
    torch.testing.assert_close(
        small_convolution(inputs, weight), conv2d(inputs, weight, padding=1, groups=2), rtol=1e-13, atol=1e-13
    )


def test_gradients_that_nobody_asked_for_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.autograd.grad` at the images computes none of the weights', which require gradients nevertheless."""
    asked: list[bool] = []
    compute = layers.differentiate_merged

    def counted(*given: Tensor, at_inputs: bool) -> Tensor:
        asked.append(at_inputs)
        return compute(*given, at_inputs=at_inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(layers, "differentiate_merged", counted)
    inputs, weight, bias = arguments()
    results = convolve(inputs, weight * 1, bias, 2)
    (gradient,) = torch.autograd.grad(results.sum(), inputs, create_graph=True)
    assert asked == [True]
    gradient.square().sum().backward()
    assert weight.grad is not None and asked.count(False) == 1
    asked.clear()
    weight.requires_grad_(False)  # a frozen discriminator
    convolve(inputs, weight, bias, 2).sum().backward()
    assert asked == [True]


def test_a_leaf_can_be_asked_for() -> None:
    inputs, weight, bias = arguments()
    results = convolve(inputs, weight, bias, 2)
    found = torch.autograd.grad(results.square().sum(), [weight, bias], retain_graph=True)
    wanted = torch.autograd.grad(conv2d(inputs, weight, bias, padding=1, groups=2).square().sum(), [weight, bias])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_under_autocast_it_computes_in_bfloat16() -> None:
    inputs, weight, bias = (tensor.detach().float().requires_grad_() for tensor in arguments())
    with torch.autocast("cpu", torch.bfloat16):
        results, resampled = convolve(inputs, weight, bias, 2), resample(inputs[:, :, :2, :2], up=False)
    assert results.dtype == torch.bfloat16 and resampled.dtype == torch.float32
    results.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.float32 for tensor in (inputs, weight, bias))
