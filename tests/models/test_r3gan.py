"""R3GAN: initialisation, resampling, shapes."""

import math

import pytest
import torch
from torch import Tensor, nn

from builders import make_config
from gan_exp.data.packed import DataSpec
from gan_exp.models.parts import stage_sizes, with_layout
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator, _Block, _Resample
from gan_exp.training.build import build, build_discriminator, build_generator
from kernels import Layouts

GAIN = math.sqrt(2 / 1.04)  # for LeakyReLU(0.2)
SHAPE = (3, 32, 32)
SMALL = {"width": 8, "max_width": 16, "group_size": 4}


def pair(num_classes: int = 0) -> tuple[R3GANGenerator, R3GANDiscriminator]:
    torch.manual_seed(0)
    widths = {"width": 32, "max_width": 64, "blocks": 2, "expansion": 2, "group_size": 16, "num_classes": num_classes}
    return R3GANGenerator(64, SHAPE, **widths), R3GANDiscriminator(SHAPE, **widths)


def assert_std(weight: Tensor, gain: float) -> None:
    fan_in = weight[0].numel()
    spread = 5 / math.sqrt(2 * weight.numel())  # five standard errors
    assert weight.std().item() == pytest.approx(gain / math.sqrt(fan_in), rel=spread)
    assert abs(weight.mean().item()) < 5 * gain / math.sqrt(fan_in * weight.numel())


@pytest.mark.parametrize("which", [0, 1])
def test_every_layer_is_initialised_as_in_the_paper(which: int) -> None:
    """N(0, gain / sqrt(fan_in)); in the L blocks the gain is divided by L^(1/4), and the last layer is zero."""
    network = pair()[which]
    blocks = [layer for layer in network.modules() if isinstance(layer, _Block)]
    assert len(blocks) == 2 * len(stage_sizes("r3gan", 32, 32)) == 8
    inside = set()
    for block in blocks:
        first, _, second, _, last = block.layers
        for layer in (first, second):
            assert_std(layer.weight, GAIN * 8**-0.25)
        assert not last.weight.any()
        assert [layer.kernel_size[0] for layer in (first, second, last)] == [1, 3, 1]
        assert second.groups == second.in_channels // 16 and first.out_channels == 2 * first.in_channels
        inside |= {first, second, last}
    others = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear) and layer not in inside]
    assert len(others) == (3, 4)[which]
    for layer in others:
        if layer.weight.numel() > 50:
            assert_std(layer.weight, 1.0)
    assert all(layer.bias is None for layer in (*others, *inside))
    for name, parameter in network.named_parameters():
        assert not name.endswith("bias") or not parameter.any()
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) for layer in network.modules())


def test_blocks_begin_as_the_identity_and_learn() -> None:
    _, discriminator = pair()
    for block in discriminator.modules():
        if isinstance(block, _Block):
            features = torch.randn(2, block.layers[0].in_channels, 5, 6)
            assert torch.equal(block(features), features)
            block(features).square().sum().backward()
            assert block.layers[4].weight.grad is not None and block.layers[4].weight.grad.any()


def test_a_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = _Block(8, 2, 4, depth=3, size=(5, 4), coarsest=False)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    first, bias_1, second, bias_2, last = block.layers
    features = torch.randn(2, 8, 5, 4)
    inner = torch.einsum("oi,nihw->nohw", first.weight[:, :, 0, 0], features)
    inner = nn.functional.leaky_relu(inner + bias_1.bias[:, None, None], 0.2)
    parts = [
        nn.functional.conv2d(part, weight, padding=1)
        for part, weight in zip(inner.split(4, dim=1), second.weight.split(4), strict=True)
    ]
    inner = nn.functional.leaky_relu(torch.cat(parts, dim=1) + bias_2.bias[:, None, None], 0.2)
    expected = features + torch.einsum("oi,nihw->nohw", last.weight[:, :, 0, 0], inner)
    torch.testing.assert_close(block(features), expected, rtol=1e-4, atol=1e-4)


SIZES = [(8, 8), (7, 7), (12, 20), (23, 19), (9, 8), (1, 100)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resampling_keeps_a_constant_constant_in_the_interior(size: tuple[int, int]) -> None:
    """Also with a convolution: then its sum over the input channels."""
    small = (-(-size[0] // 2), -(-size[1] // 2))
    up, down = _Resample(3, 3, size, up=True), _Resample(3, 3, small, up=False)
    assert not list(up.parameters()) and not list(down.parameters())
    larger, smaller = up(torch.full((2, 3, *small), 0.7)), down(torch.full((2, 3, *size), 0.7))
    assert larger.shape == (2, 3, *size) and smaller.shape == (2, 3, *small)
    torch.testing.assert_close(larger[:, :, 1:-1, 1:-1], torch.full_like(larger[:, :, 1:-1, 1:-1], 0.7))
    torch.testing.assert_close(smaller[:, :, 1:-1, 1:-1], torch.full_like(smaller[:, :, 1:-1, 1:-1], 0.7))
    wider = _Resample(3, 5, size, up=True)
    larger = wider(torch.ones(2, 3, *small))[:, :, 1:-1, 1:-1]
    expected = wider.channels.weight.sum(dim=(1, 2, 3))[None, :, None, None].expand_as(larger)
    torch.testing.assert_close(larger, expected, rtol=1e-4, atol=1e-5)


def test_the_filter_is_1_3_3_1() -> None:
    """The response to a single bright pixel; up and down are transposes of each other times the area's factor."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    point = torch.zeros(1, 1, 4, 4)
    point[0, 0, 1, 2] = 1
    expected = torch.zeros(1, 1, 8, 8)
    expected[0, 0, 1:5, 3:7] = torch.outer(taps, taps) / 16
    torch.testing.assert_close(_Resample(1, 1, (8, 8), up=True)(point), expected)
    small, large = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 8, 8)
    up, down = _Resample(1, 1, (8, 8), up=True), _Resample(1, 1, (4, 4), up=False)
    torch.testing.assert_close((up(small) * large).sum(), 4 * (small * down(large)).sum())


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (48, 80), (45, 37)], ids=str)
def test_both_networks_pass_through_the_same_sizes(size: tuple[int, int]) -> None:
    generator = R3GANGenerator(6, (1, *size), width=4, max_width=4, blocks=1, group_size=4)
    discriminator = R3GANDiscriminator((1, *size), width=4, max_width=4, blocks=1, group_size=4)
    stages = stage_sizes("r3gan", *size)
    for network, inputs, expected in (
        (generator, torch.randn(2, 6), stages[1:]),
        (discriminator, torch.randn(2, 1, *size), stages[-2::-1]),
    ):
        seen: list[tuple[int, ...]] = []
        for layer in network.modules():
            if isinstance(layer, _Resample):
                layer.register_forward_hook(lambda _, __, output, seen=seen: seen.append(tuple(output.shape[2:])))
        network(inputs)
        assert seen == expected


def test_widths() -> None:
    generator = R3GANGenerator(6, (1, 32, 32), width=8, max_width=16, blocks=3, group_size=4)
    widths = [layer.layers[0].in_channels for layer in generator.modules() if isinstance(layer, _Block)]
    assert widths == [16] * 3 + [16] * 3 + [16] * 3 + [8] * 3
    with pytest.raises(ValueError, match="group_size=7: must divide the width inside a block, 16"):
        R3GANDiscriminator((1, 8, 8), width=8, max_width=8, group_size=7)


def test_the_generator_starts_from_its_basis() -> None:
    generator, _ = pair()
    seen: list[Tensor] = []
    generator.stages[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    latents = torch.randn(2, 64)
    generator(latents)
    expected = torch.einsum("chw,nc->nchw", generator.basis, latents @ generator.project.weight.T)
    torch.testing.assert_close(seen[0], expected)
    assert generator.basis.requires_grad and generator.basis.shape == (64, 4, 4)


def test_projection_is_the_inner_product_with_the_labels_embedding() -> None:
    _, discriminator = pair(num_classes=4)
    images, labels = torch.randn(5, *SHAPE), torch.tensor([0, 3, 1, 1, 2])
    features = discriminator.head(discriminator.stages(images))
    expected = torch.stack([discriminator.embed.weight[k] @ f for k, f in zip(labels, features, strict=True)])
    torch.testing.assert_close(discriminator(images, labels), expected)


def test_the_recipe_for_cifar10_is_the_papers() -> None:
    """Except for its width: label dimensions of 64 and 768, and schedules that end after 20 million images."""
    config = make_config("experiment=r3gan_cifar10")
    spec = DataSpec((3, 32, 32), 10)
    generator, discriminator = build_generator(config, spec), build_discriminator(config, spec)
    assert generator.project.in_features == 64 + 64 and discriminator.embed.weight.shape == (10, 768)
    assert config.batch_size * config.steps * 0.390625 == 20e6 and config.ema_ramp_up is None
    ends = {"lr": 5e-5 / 2e-4, "penalty": 0.1, "beta2": 1.1, "ema": 1.0, "augment": 1.0}
    starts = {"lr": 1.0, "penalty": 1.0, "beta2": 1.0, "ema": 0.0, "augment": 0.0}
    for name, end in ends.items():
        schedule = build(config, f"schedule.{name}")
        assert schedule(0.0) == pytest.approx(starts[name])
        assert schedule(0.390625 / 2) == pytest.approx((starts[name] + end) / 2)
        assert schedule(0.390625) == schedule(0.7) == schedule(1.0) == pytest.approx(end)
    assert [config.augment[key] for key in ("p", "color_share", "cutout")] == [0.55, 0.5, 0.5]
    assert config.optimizer.generator["betas"] == config.optimizer.discriminator["betas"] == [0.0, 0.9]
    blocks = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert {layer.in_channels // layer.groups for layer in blocks[:-1]} == {16} and len(blocks) == 4 * 2 + 1


def test_label_embeddings_are_initialised_as_a_linear_layer_on_one_hot_labels() -> None:
    """N(0, 1 / classes) in G; in D smaller by the root of the number of features, so that the logits' scale is one."""
    torch.manual_seed(0)
    generator = R3GANGenerator(8, (3, 8, 8), 16, 16, label_dim=400, num_classes=25)
    assert generator.label.embed is not None
    assert generator.label.embed.weight.std().item() == pytest.approx(1 / 5, rel=0.03)
    discriminator = R3GANDiscriminator((3, 8, 8), 16, 16, label_dim=400, num_classes=25)
    assert discriminator.embed is not None
    assert discriminator.embed.weight.std().item() == pytest.approx(1 / (5 * 20), rel=0.03)


def test_a_configuration_without_label_dim_builds_the_former_networks() -> None:
    generator = R3GANGenerator(8, (3, 8, 8), 16, 16, num_classes=10)
    discriminator = R3GANDiscriminator((3, 8, 8), 16, 16, num_classes=10)
    assert generator.project.in_features == 8 + 32 and discriminator.head.out_features == 64


def straightforward(network: nn.Module, features: Tensor) -> Tensor:
    """The `stages` of either network as the paper has them, layer by layer."""
    for layer in network.stages:
        if isinstance(layer, _Block):
            first, bias_1, second, bias_2, last = layer.layers
            inner = nn.functional.conv2d(features, first.weight)
            inner = nn.functional.leaky_relu(inner + bias_1.bias[:, None, None], 0.2)
            inner = nn.functional.conv2d(inner, second.weight, padding=1, groups=second.groups)
            inner = nn.functional.leaky_relu(inner + bias_2.bias[:, None, None], 0.2)
            features = features + nn.functional.conv2d(inner, last.weight)
        elif isinstance(layer, _Resample):
            features = straightforward_resampling(layer, features)
        else:
            features = nn.functional.conv2d(features, layer.weight, groups=layer.groups)
    return features


def straightforward_resampling(layer: _Resample, features: Tensor) -> Tensor:
    count = features.shape[1]
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=features.dtype) / 8
    kernel = torch.outer(taps, taps).expand(count, 1, 4, 4)
    if not layer.up:
        features = nn.functional.pad(features, (0, features.shape[3] % 2, 0, features.shape[2] % 2))
        return layer.channels(nn.functional.conv2d(features, kernel, stride=2, padding=1, groups=count))
    doubled = nn.functional.conv_transpose2d(features, 4 * kernel, stride=2, padding=1, groups=count)
    doubled = doubled[:, :, : layer.size[0], : layer.size[1]]
    weight = getattr(layer.channels, "weight", None)
    return doubled if weight is None else nn.functional.conv2d(doubled, weight)


@pytest.mark.parametrize("size", [(16, 16), (19, 26)], ids=str)
def test_the_same_function_and_derivatives_as_the_straightforward_layers(size: tuple[int, int]) -> None:
    """To 1e-12 in float64: images, logits, the gradient at the images, a penalty's and G's at all parameters."""
    torch.manual_seed(0)
    generator, discriminator = (
        with_layout(network.double())
        for network in (R3GANGenerator(6, (3, *size), **SMALL), R3GANDiscriminator((3, *size), **SMALL))
    )
    for parameter in (*generator.parameters(), *discriminator.parameters()):
        parameter.data += 0.2 * torch.randn_like(parameter)
    latents = torch.randn(3, 6, dtype=torch.float64)
    found, wanted = [], []
    for results, fast in ((found, True), (wanted, False)):
        start = generator.basis * generator.project(latents)[:, :, None, None]
        fakes = generator(latents) if fast else straightforward(generator, start)
        images = fakes.detach().requires_grad_()
        score = discriminator.stages if fast else lambda x: straightforward(discriminator, x).flatten(1)
        logits = discriminator.head(score(images))
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        loss = logits.square().mean() + gradient.square().sum()
        results += [fakes, logits, gradient]
        results += torch.autograd.grad(loss, list(discriminator.parameters()), retain_graph=True)
        results += torch.autograd.grad(loss, images)  # of the second derivative too
        results += torch.autograd.grad(discriminator.head(score(fakes)).sum(), list(generator.parameters()))
    assert len(found) == len(wanted) > 30
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() <= 1e-12 * other.norm()


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_lies_channels_last(channels: int) -> None:
    """In both passes and a penalty's; what lies in two ways is copied and added slowly."""
    generator, discriminator = (
        with_layout(network)
        for network in (R3GANGenerator(6, (channels, 16, 16), **SMALL), R3GANDiscriminator((channels, 16, 16), **SMALL))
    )
    with Layouts(5) as found:
        fakes = generator(torch.randn(5, 6))
        discriminator(fakes).sum().backward()
        images = torch.randn(5, channels, 16, 16, requires_grad=True)
        (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        gradient.square().sum().backward()
    assert found.calls > 100
    assert found.slow == []


def test_the_weights_of_a_seed_stay_what_they_were() -> None:
    """A resampling layer without a convolution draws one nevertheless."""
    torch.manual_seed(3)
    network = R3GANDiscriminator((1, 16, 16), width=4, max_width=4, blocks=1, group_size=4)
    expected = [0.08897809684276581, 0.5652955174446106]
    assert [layer.weight.flatten()[0].item() for layer in (network.stages[0], network.head)] == pytest.approx(expected)
