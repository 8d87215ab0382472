"""The residual networks of SNGAN."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from builders import make_config
from gan_exp.data.packed import DataSpec
from gan_exp.models.parts import stage_sizes
from gan_exp.models.resnet import ResNetDiscriminator, ResNetGenerator
from gan_exp.training.build import build_discriminator, build_generator

SIZES = [(8, 8), (28, 28), (48, 80), (45, 37)]


def sizes_after(network: nn.Module, blocks: nn.Sequential, *inputs: Tensor) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    for block in blocks:
        block.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[2:])))
    network(*inputs)
    return seen


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_block_doubles_or_halves(size: tuple[int, int]) -> None:
    stages = stage_sizes("resnet", *size)
    generator, discriminator = ResNetGenerator(6, (3, *size), 4), ResNetDiscriminator((3, *size), 4, plain_blocks=2)
    assert sizes_after(generator, generator.blocks, torch.randn(2, 6)) == stages[1:]
    found = sizes_after(discriminator, discriminator.blocks, torch.randn(2, 3, *size))
    assert found == [*stages[-2::-1], stages[0], stages[0]]


def test_the_networks_of_sngan_at_32_pixels() -> None:
    """Table 4 of its appendix, by the recipe: G from 4x4x256 by three blocks; D's first two blocks halve, two don't."""
    config = make_config("experiment=sngan_cifar10")
    spec = DataSpec((3, 32, 32), 10)
    generator, discriminator = build_generator(config, spec), build_discriminator(config, spec)
    assert isinstance(generator, ResNetGenerator) and isinstance(discriminator, ResNetDiscriminator)
    assert generator.start_shape == (256, 4, 4) and len(generator.blocks) == 3
    assert [block.halve for block in discriminator.blocks] == [True, True, False, False]
    assert {block.convolution_2.out_channels for block in discriminator.blocks} == {128}
    assert [isinstance(block.shortcut, nn.Identity) for block in discriminator.blocks] == [False, False, True, True]
    assert sizes_after(discriminator, discriminator.blocks, torch.randn(1, 3, 32, 32)) == [(16, 16), *[(8, 8)] * 3]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())


def test_a_configuration_without_a_coarsest_size_builds_the_former_network() -> None:
    """Three blocks halve 32 to 4, and one doesn't."""
    discriminator = ResNetDiscriminator((3, 32, 32), 128, plain_blocks=1)
    assert [block.halve for block in discriminator.blocks] == [True, True, True, False]


def test_without_halvings_the_first_block_sees_the_image() -> None:
    discriminator = ResNetDiscriminator((3, 8, 8), 4, plain_blocks=2, coarsest=8)
    assert [(block.halve, block.first) for block in discriminator.blocks] == [(False, True), (False, False)]
    assert discriminator(torch.randn(2, 3, 8, 8)).shape == (2,)
    with pytest.raises(ValueError, match="leave no block"):
        ResNetDiscriminator((3, 8, 8), 4, plain_blocks=0, coarsest=8)


def test_glorots_initialisation() -> None:
    """Residual convolutions are sqrt(2) larger, for the ReLUs between them."""
    torch.manual_seed(0)
    for network in (ResNetGenerator(64, (3, 16, 16), 64), ResNetDiscriminator((3, 16, 16), 64, num_classes=40)):
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                area = math.prod(layer.weight.shape[2:])
                limit = math.sqrt(6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * area))
                limit *= math.sqrt(2) if "convolution_" in name else 1
                assert layer.weight.abs().max() <= limit
                if layer.weight.numel() > 1000:
                    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05), name
                assert isinstance(layer, nn.Embedding) or layer.bias is None or not layer.bias.any()


def test_the_first_logits_of_a_projection_are_small_enough_for_the_hinge_loss() -> None:
    """Spectral normalisation applies to the labels' embedding too."""
    config = make_config("experiment=sngan_cifar10", "conditional=true", "model.discriminator.width=32")
    torch.manual_seed(0)
    discriminator = build_discriminator(config, DataSpec((3, 32, 32), 10))
    (embedding,) = (layer for layer in discriminator.modules() if isinstance(layer, nn.Embedding))
    assert is_parametrized(embedding, "weight")
    for _ in range(20):  # the power iterations of spectral norm
        logits = discriminator(torch.rand(40, 3, 32, 32) * 2 - 1, torch.arange(40) % 10)
    assert torch.linalg.matrix_norm(embedding.weight, 2).item() == pytest.approx(1, rel=0.02)
    assert logits.std() < 2


def test_an_up_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = ResNetGenerator(4, (1, 9, 8), 4).blocks[0].eval()
    features = torch.randn(2, 4, 5, 4)
    with torch.no_grad():
        # Nearest neighbours: row k of 9 is row k * 5 // 9 of 5.
        larger = features[:, :, [k * 5 // 9 for k in range(9)]].repeat_interleave(2, dim=3)
        residual = block.convolution_1(block.norm_1(larger).relu())
        residual = block.convolution_2(block.norm_2(residual).relu())
        torch.testing.assert_close(block(features), residual + block.shortcut(larger), rtol=1e-5, atol=1e-5)


def test_a_down_block_sees_the_image_without_a_relu() -> None:
    torch.manual_seed(0)
    discriminator = ResNetDiscriminator((2, 16, 16), 4)
    first, second = discriminator.blocks[0], discriminator.blocks[1]
    images, features = torch.randn(2, 2, 16, 16), torch.randn(2, 4, 8, 8)

    def halved(x: Tensor) -> Tensor:
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

    expected = halved(first.convolution_2(first.convolution_1(images).relu())) + first.shortcut(halved(images))
    torch.testing.assert_close(first(images), expected)
    expected = halved(second.convolution_2(second.convolution_1(features.relu()).relu()))
    torch.testing.assert_close(second(features), expected + second.shortcut(halved(features)))


def test_projection_adds_the_inner_product_with_the_labels_embedding() -> None:
    torch.manual_seed(0)
    discriminator = ResNetDiscriminator((3, 8, 8), 6, num_classes=4)
    images, labels = torch.randn(5, 3, 8, 8), torch.tensor([0, 3, 1, 1, 2])
    features = discriminator.blocks(images).relu().sum(dim=(2, 3))
    expected = discriminator.head(features).squeeze(1)
    expected = expected + torch.stack(
        [discriminator.embed.weight[k] @ f for k, f in zip(labels, features, strict=True)]
    )
    torch.testing.assert_close(discriminator(images, labels), expected)
