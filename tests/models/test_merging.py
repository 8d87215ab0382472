"""Merged groups: the same function with the same derivatives, whichever way torch differentiates it."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, vjp
from torch.nn.functional import conv2d

from gan_exp.models.layers import convolve
from gan_exp.models.merging import grouped_layers, merge_groups
from gan_exp.models.parts import with_layout
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator

EXACT = torch.float64
GROUPS, NARROW = 8, 3
SMALL = {"width": 8, "max_width": 16, "group_size": 4}


def arguments(dtype: torch.dtype = EXACT) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = (2, GROUPS * NARROW, 5, 4), (GROUPS * NARROW, NARROW, 3, 3), (GROUPS * NARROW,)
    inputs, weight, bias = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return inputs, weight, bias


def derivatives(convolution: Callable[..., Tensor], given: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    """The results, a gradient at the inputs, and the gradients of a loss with a penalty of that gradient."""
    results = convolution(*given)
    (gradient,) = torch.autograd.grad(results.sin().sum(), given[0], create_graph=True)
    return [results, gradient, *torch.autograd.grad(results.cos().sum() + gradient.square().sum(), given)]


def torchs(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return conv2d(inputs, weight, bias, padding=1, groups=GROUPS)


def assert_close(found: list[Tensor], wanted: list[Tensor], within: float) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape and (one - other).norm() <= within * other.norm()


@pytest.mark.parametrize("merged", [1, 2, 4, 8])
@pytest.mark.parametrize("traced", [False, True])
def test_function_and_derivatives(merged: int, traced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Functions, and by torch's own operations, which a compiler takes."""
    if traced:
        monkeypatch.setattr("gan_exp.models.layers.takes_functions", lambda: False)
    given = arguments()
    found = derivatives(lambda *tensors: convolve(*tensors, GROUPS, merged), given)
    assert_close(found, derivatives(torchs, given), 1e-12)
    assert (found[0].grad_fn is not None and "ConvolutionBackward0" in found[0].grad_fn.name()) == traced
    with torch.no_grad():
        assert_close([convolve(*given, GROUPS, merged)], [torchs(*given)], 1e-12)


def test_they_are_differentiable_twice_in_all_arguments() -> None:
    shapes = (1, 4, 3, 2), (4, 1, 3, 3), (4,)
    given = [torch.randn(shape, dtype=EXACT, requires_grad=True) for shape in shapes]
    assert gradcheck(lambda *x: convolve(*x, 4, 2), given) and gradgradcheck(lambda *x: convolve(*x, 4, 2), given)


def test_torch_func_differentiates_them() -> None:
    inputs, weight, bias = (tensor.detach() for tensor in arguments())

    def summed(weight: Tensor, merged: int) -> Tensor:
        _, pull = vjp(lambda x: convolve(x, weight, bias, GROUPS, merged).square(), inputs)
        (gradient,) = pull(torch.ones_like(inputs))
        return gradient.square().sum()

    assert_close([grad(summed)(weight, 4)], [grad(summed)(weight, 1)], 1e-12)


@pytest.mark.parametrize("merged", [2, 4])
def test_results_and_gradients_lie_channels_last(merged: int) -> None:
    given = arguments()
    inputs, weight = (tensor.detach().contiguous(memory_format=torch.channels_last) for tensor in given[:2])
    for tensor in (inputs, weight):
        tensor.requires_grad_()
    results = convolve(inputs, weight, given[2], GROUPS, merged)
    for tensor in (results, *torch.autograd.grad(results.sum(), (inputs, weight))):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("merged", [2, 8])
def test_in_bfloat16_within_its_roundings(merged: int) -> None:
    given = arguments(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        results = convolve(*given, GROUPS, merged)
    assert results.dtype == torch.bfloat16
    found = [results.float(), *torch.autograd.grad(results.float().sum(), given)]
    wanted = torchs(*given)
    assert_close(found, [wanted, *torch.autograd.grad(wanted.sum(), given)], 0.01)


def networks() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    pair = R3GANGenerator(6, (3, 16, 16), **SMALL), R3GANDiscriminator((3, 16, 16), **SMALL)
    for parameter in (value for network in pair for value in network.parameters()):
        parameter.data += 0.2 * torch.randn_like(parameter)
    return [with_layout(network.double()) for network in pair]


def test_shapes_are_named_after_the_images_that_layers_see() -> None:
    """And say which are in float32: those of the coarsest size."""
    pair = networks()
    found = {layer.shape.name: layer.shape.in_float32 for layer in grouped_layers(pair)}
    assert found == {"32x4x4/4": True, "32x8x8/4": False, "16x16x16/4": False}
    seen: list[tuple[int, ...]] = []
    for block in (block for network in pair for block in network.modules() if type(block).__name__ == "_Block"):
        (layer,) = grouped_layers([block])
        expected = (layer.shape.height, layer.shape.width)
        block.register_forward_hook(lambda _, __, made, size=expected: seen.append((*made.shape[2:], *size)))
    generator, discriminator = pair
    discriminator(generator(torch.randn(2, 6, dtype=EXACT)))
    assert len(seen) == 12 and all(size[:2] == size[2:] for size in seen)


def test_networks_with_merged_groups_are_the_same() -> None:
    """Images, logits, the gradient at the images, and those of a penalty; a copy merges too, and no state shows it."""
    pair, latents = networks(), torch.randn(3, 6, dtype=EXACT)
    merged = copy.deepcopy(pair)
    merge_groups(merged, {"32x8x8/4": 4, "16x16x16/4": 2, "64x64x64/4": 2})
    assert [layer.merged for layer in grouped_layers(copy.deepcopy(merged))] == [1, 1, 4, 4, 2, 2, 2, 2, 4, 4, 1, 1]
    assert all(one.state_dict().keys() == two.state_dict().keys() for one, two in zip(pair, merged, strict=True))
    results = []
    for generator, discriminator in (pair, merged):
        images = generator(latents)
        logits = discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        parameters = [value for network in (generator, discriminator) for value in network.parameters()]
        loss = logits.square().sum() + gradient.square().sum()
        results.append([images, logits, gradient, *torch.autograd.grad(loss, parameters)])
    assert_close(*results, 1e-12)
    with pytest.raises(ValueError, match="32x8x8/4:3: must divide the number of its groups, 8"):
        merge_groups(merged, {"32x8x8/4": 3})
