"""DCGAN for any image size."""

import pytest
import torch
from torch import nn

from builders import count_parameters
from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator, _Blur
from gan_exp.models.parts import EMBEDDING_DIM, stage_sizes

SIZES = [(8, 8), (9, 8), (28, 28), (48, 80), (45, 37), (8, 200), (64, 64)]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_any_image_size(size: tuple[int, int], channels: int) -> None:
    shape = (channels, *size)
    generator, discriminator = DCGANGenerator(12, shape, width=4), DCGANDiscriminator(shape, width=4)
    images = generator(torch.randn(2, 12))
    assert images.shape == (2, *shape) and images.abs().max() <= 1
    logits = discriminator(images)
    assert logits.shape == (2,)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in (*generator.parameters(), *discriminator.parameters()))


@pytest.mark.parametrize("num_classes", [0, 3])
def test_hidden_layers(num_classes: int) -> None:
    """Dense layers of 12 x 10 and 10 x 7 in G, of (4 x 4 x 8) x 9 in D; the label is projected on D's last."""
    generator = DCGANGenerator(12, (1, 16, 16), width=4, hidden=[10, 7], num_classes=num_classes)
    discriminator = DCGANDiscriminator((1, 16, 16), width=4, hidden=[9], num_classes=num_classes)
    dense = [layer.weight.shape for layer in generator.modules() if isinstance(layer, nn.Linear)]
    label = EMBEDDING_DIM if num_classes else 0
    assert dense == [(10, 12 + label), (7, 10), (8 * 4 * 4, 7)]
    assert [layer.weight.shape for layer in discriminator.modules() if isinstance(layer, nn.Linear)] == [
        (9, 8 * 4 * 4), (1, 9),
    ]  # fmt: skip
    labels = torch.arange(2) if num_classes else None
    discriminator(generator(torch.randn(2, 12), labels), labels).sum().backward()
    assert all(parameter.grad is not None for parameter in (*generator.parameters(), *discriminator.parameters()))


@pytest.mark.parametrize("size", SIZES)
def test_antialias_takes_the_checkerboard_away(size: tuple[int, int]) -> None:
    """Rows and columns that alternate vanish; what is even stays. Blurs have no weights."""
    board = torch.ones(2, 3, *size)
    board[:, :, ::2, ::2] = board[:, :, 1::2, 1::2] = -1.0
    assert _Blur()(board)[:, :, 1:-1, 1:-1].abs().max() == 0
    assert torch.equal(_Blur()(torch.full((1, 2, *size), 0.5)), torch.full((1, 2, *size), 0.5))
    shape = (3, *size)
    networks = [DCGANGenerator(12, shape, width=4, antialias=True), DCGANDiscriminator(shape, width=4, antialias=True)]
    plain = [DCGANGenerator(12, shape, width=4), DCGANDiscriminator(shape, width=4)]
    for network, other in zip(networks, plain, strict=True):
        assert [value.shape for value in network.state_dict().values()] == [
            value.shape for value in other.state_dict().values()
        ]
    images = networks[0](torch.randn(2, 12))
    assert images.shape == (2, *shape) and networks[1](images).shape == (2,)


def test_memory_formats_do_not_change_the_outcome() -> None:
    torch.manual_seed(0)
    shape = (3, 45, 37)
    generator, discriminator = DCGANGenerator(12, shape, width=4).eval(), DCGANDiscriminator(shape, width=4).eval()
    latents = torch.randn(2, 12)
    expected = discriminator(generator(latents))
    generator.to(memory_format=torch.channels_last)
    discriminator.to(memory_format=torch.channels_last)
    torch.testing.assert_close(discriminator(generator(latents)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "stages"),
    [
        ((64, 64), [(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)]),
        ((28, 28), [(7, 7), (14, 14), (28, 28)]),
        ((8, 8), [(4, 4), (8, 8)]),
        ((48, 80), [(6, 10), (12, 20), (24, 40), (48, 80)]),
        ((45, 37), [(6, 5), (12, 10), (23, 19), (45, 37)]),
        ((8, 200), [(4, 100), (8, 200)]),
    ],
)
def test_stages(size: tuple[int, int], stages: list[tuple[int, int]]) -> None:
    assert stage_sizes("dcgan", *size) == stages


@pytest.mark.parametrize("size", SIZES)
def test_the_discriminator_passes_through_the_sizes_of_the_generator(size: tuple[int, int]) -> None:
    shape, seen = (1, *size), []
    discriminator = DCGANDiscriminator(shape, width=4)
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[2:])))
    discriminator(torch.randn(1, *shape))
    assert seen == stage_sizes("dcgan", *size)[-2::-1]


@pytest.mark.parametrize("size", [(7, 28), (28, 7)])
def test_too_small_an_image_is_refused(size: tuple[int, int]) -> None:
    for build in (lambda: DCGANGenerator(12, (1, *size)), lambda: DCGANDiscriminator((1, *size))):
        with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*at least 8 pixels.*model=mlp"):
            build()


def test_the_papers_widths_at_64_pixels() -> None:
    """1024-512-256-128 in the paper's figure 1 are those of 128; its authors' code and this default halve them."""
    convolutions = [
        layer for layer in DCGANGenerator(100, (3, 64, 64)).modules() if isinstance(layer, nn.ConvTranspose2d)
    ]
    assert [layer.in_channels for layer in convolutions] == [512, 256, 128, 64]
    assert convolutions[-1].out_channels == 3
    convolutions = [layer for layer in DCGANDiscriminator((3, 64, 64)).modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512]


def test_widths_are_capped() -> None:
    generator = DCGANGenerator(4, (1, 64, 64), width=8, max_width=16)
    convolutions = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in convolutions] == [16, 16, 16, 8]


def test_the_papers_initialisation() -> None:
    torch.manual_seed(0)
    for network in (DCGANGenerator(100, (1, 28, 28)), DCGANDiscriminator((1, 28, 28))):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 10_000:
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert abs(layer.weight.mean().item()) < 1e-3
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.01) and not layer.bias.any()


def test_parameters_of_the_smallest() -> None:
    """8x8: 4x4 x 64 channels, one transposed convolution back; one convolution and a logit."""
    assert count_parameters(DCGANGenerator(100, (1, 8, 8))) == 100 * 64 * 16 + 2 * 64 + 64 * 16 + 1
    assert count_parameters(DCGANDiscriminator((1, 8, 8))) == 64 * 16 + 64 + 64 * 16 + 1


def test_the_label_is_projected_onto_the_features() -> None:
    """Miyato and Koyama's equation 3: the term of the label is linear in the features behind the logit."""
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator((1, 28, 28), width=4, num_classes=3).eval()
    images, labels = torch.randn(6, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1, 2])
    features = discriminator.stages[:-1](images)
    assert discriminator.embed is not None
    nn.init.zeros_(discriminator.embed.weight)
    without = discriminator(images, labels)
    torch.testing.assert_close(without, discriminator.stages(images).squeeze(1))
    with torch.no_grad():
        discriminator.embed.weight[1] = discriminator.stages[-1].weight[0]
    expected = torch.where(labels == 1, discriminator.stages[-1].weight[0] @ features.T, 0)
    torch.testing.assert_close(discriminator(images, labels) - without, expected)
