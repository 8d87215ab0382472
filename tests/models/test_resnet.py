"""The residual networks of SNGAN."""

import math

import pytest
import torch
from torch import Tensor, nn

from gan_exp.models.parts import stage_sizes
from gan_exp.models.resnet import ResNetDiscriminator, ResNetGenerator

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


def test_the_shape_of_sngan_at_32_pixels() -> None:
    """4x4 x width and three blocks up; here D halves down to 4x4 too, and has one plain block."""
    generator, discriminator = ResNetGenerator(128, (3, 32, 32), 256), ResNetDiscriminator((3, 32, 32), 128)
    assert generator.start_shape == (256, 4, 4) and len(generator.blocks) == 3
    assert len(discriminator.blocks) == 4
    assert [block.halve for block in discriminator.blocks] == [True, True, True, False]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())


def test_glorots_start() -> None:
    torch.manual_seed(0)
    for network in (ResNetGenerator(64, (3, 16, 16), 64), ResNetDiscriminator((3, 16, 16), 64)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                area = math.prod(layer.weight.shape[2:])
                limit = math.sqrt(6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * area))
                assert layer.weight.abs().max() <= limit
                if layer.weight.numel() > 1000:
                    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
                assert layer.bias is None or not layer.bias.any()


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
