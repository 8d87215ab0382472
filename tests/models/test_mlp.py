"""The multi-layer perceptrons and Keras' BatchNorm."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from builders import count_parameters
from gan_exp.models.mlp import KerasBatchNorm1d, MLPDiscriminator, MLPGenerator

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 48, 80), (4, 45, 37), (3, 8, 200), (1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_any_image_shape(shape: tuple[int, int, int]) -> None:
    generator, discriminator = MLPGenerator(12, shape, (16, 8)), MLPDiscriminator(shape, (8, 6))
    images = generator(torch.randn(5, 12))
    assert images.shape == (5, *shape) and images.abs().max() <= 1
    assert discriminator(images).shape == (5,)
    assert discriminator(images[:1]).shape == (1,)


def test_the_articles_networks() -> None:
    assert count_parameters(MLPGenerator(100, (1, 28, 28))) == 1_489_936
    assert count_parameters(MLPDiscriminator((1, 28, 28))) == 533_505
    layers = MLPGenerator(100, (1, 28, 28)).layers
    assert (layers[2].momentum, layers[2].eps, layers[1].negative_slope) == (0.2, 1e-3, 0.2)
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["Linear", "LeakyReLU", "KerasBatchNorm1d"] * 3 + ["Linear", "Tanh"]


@pytest.mark.parametrize("widths", [(), (7,), (9, 8, 7, 6)])
def test_widths_are_free(widths: tuple[int, ...]) -> None:
    generator, discriminator = MLPGenerator(4, (1, 3, 5), widths), MLPDiscriminator((1, 3, 5), widths)
    assert discriminator(generator(torch.randn(2, 4))).shape == (2,)
    sizes = [4, *widths, 15]
    dense = sum(inputs * outputs + outputs for inputs, outputs in pairwise(sizes))
    assert count_parameters(generator) == dense + 2 * sum(widths)


def test_rows_are_pixels_of_one_image() -> None:
    """D sees the pixels that G made, in their order: flattening is the inverse of shaping."""
    generator = MLPGenerator(4, (2, 3, 5), (6,)).eval()
    latents = torch.randn(3, 4)
    assert torch.equal(generator(latents).flatten(1), generator.layers(latents))


def test_settings_reach_the_layers() -> None:
    generator = MLPGenerator(4, (1, 2, 2), (6,), leak=0.3, batch_norm_momentum=0.4, batch_norm_eps=0.5)
    norm = generator.layers[2]
    assert generator.layers[1].negative_slope == 0.3 and (norm.momentum, norm.eps) == (0.4, 0.5)
    assert MLPDiscriminator((1, 2, 2), (6,), leak=0.3).layers[1].negative_slope == 0.3


def keras_norm(features: int = 3) -> KerasBatchNorm1d:
    norm = KerasBatchNorm1d(features, eps=1e-3, momentum=0.2).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, -2.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.0, 3.0]))
    return norm


def rows(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, dtype=torch.float64, generator=generator) * torch.tensor([1.0, 5.0, 0.2]) + 4


def formula(norm: KerasBatchNorm1d, input: Tensor) -> Tensor:
    mean = input.mean(dim=0)
    variance = ((input - mean) ** 2).mean(dim=0)
    return (input - mean) / torch.sqrt(variance + 1e-3) * norm.weight + norm.bias


def test_batch_norm_is_its_formula() -> None:
    norm, input = keras_norm(), rows(6)
    torch.testing.assert_close(norm(input), formula(norm, input), rtol=1e-12, atol=1e-12)


def test_batch_norm_averages_the_biased_variance() -> None:
    norm = keras_norm()
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for seed in range(4):
        input = rows(5, seed)
        norm(input)
        mean = 0.8 * mean + 0.2 * input.mean(dim=0)
        variance = 0.8 * variance + 0.2 * input.var(dim=0, correction=0)  # torch's own layer takes correction=1
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-12, atol=1e-12)


def test_batch_norm_uses_its_moving_averages_in_eval_mode() -> None:
    norm = keras_norm()
    norm(rows(5))
    before = {name: value.clone() for name, value in norm.named_buffers()}
    norm.eval()
    input = rows(7, seed=9)
    expected = (input - norm.running_mean) / torch.sqrt(norm.running_var + 1e-3) * norm.weight + norm.bias
    torch.testing.assert_close(norm(input), expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(before[name], value) for name, value in norm.named_buffers())


def test_batch_norm_goes_backward() -> None:
    norm, input = keras_norm(), rows(4).requires_grad_()
    assert gradcheck(lambda value, weight, bias: _with(norm, weight, bias)(value), (input, norm.weight, norm.bias))
    outcome = rows(4, seed=2)
    ours = torch.autograd.grad((norm(input) * outcome).sum(), (input, norm.weight, norm.bias))
    theirs = torch.autograd.grad((formula(norm, input) * outcome).sum(), (input, norm.weight, norm.bias))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def _with(norm: KerasBatchNorm1d, weight: Tensor, bias: Tensor) -> KerasBatchNorm1d:
    del weight, bias  # gradcheck changes the layer's parameters in place
    return norm


def test_batch_norm_of_a_constant_feature_is_its_bias() -> None:
    norm = keras_norm()
    output = norm(torch.full((4, 3), 2.5, dtype=torch.float64))
    torch.testing.assert_close(output, norm.bias.expand(4, 3))
    torch.testing.assert_close(norm.running_var, torch.full((3,), 0.8, dtype=torch.float64))


def test_linear_layers_are_initialised_as_in_keras() -> None:
    torch.manual_seed(0)
    layer = MLPGenerator(100, (1, 28, 28)).layers[0]
    limit = math.sqrt(6 / (100 + 256))
    assert layer.weight.abs().max() <= limit and layer.weight.abs().max() > 0.99 * limit
    assert not layer.bias.any()
