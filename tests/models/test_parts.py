"""Properties of all architectures: any image size, labels with an effect, memory formats without one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_exp.models.fastgan import FastGANDiscriminator, FastGANGenerator
from gan_exp.models.mlp import MLPDiscriminator, MLPGenerator
from gan_exp.models.parts import HasAuxiliaryLoss, LabelEmbedding, stage_sizes, stage_widths
from gan_exp.models.points import PointDiscriminator, PointGenerator
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator
from gan_exp.models.resnet import ResNetDiscriminator, ResNetGenerator

SMALL_R3GAN = {"width": 4, "max_width": 8, "blocks": 1, "group_size": 4}
# (generator, its arguments, discriminator, its arguments)
MODELS: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "mlp": (MLPGenerator, {"widths": (8,)}, MLPDiscriminator, {"widths": (8,)}),
    "dcgan": (DCGANGenerator, {"width": 4}, DCGANDiscriminator, {"width": 4}),
    "resnet": (ResNetGenerator, {"width": 4}, ResNetDiscriminator, {"width": 4}),
    "fastgan": (FastGANGenerator, {"width": 4}, FastGANDiscriminator, {"width": 4}),
    "r3gan": (R3GANGenerator, SMALL_R3GAN, R3GANDiscriminator, SMALL_R3GAN),
    "points": (PointGenerator, {"widths": (8,)}, PointDiscriminator, {"widths": (8,)}),
}
BOUNDED = {"mlp", "dcgan", "resnet", "fastgan"}  # by tanh


def networks(model: str, shape: tuple[int, int, int], num_classes: int = 0) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator, its, discriminator, others = MODELS[model]
    classes = {"num_classes": num_classes} if num_classes else {}
    return generator(12, shape, **its, **classes), discriminator(shape, **others, **classes)


def start_zero_weights(network: nn.Module) -> None:
    """A block that is initialised as the identity passes no gradient to its first layers."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0.0, 0.1)


def score_all(discriminator: nn.Module, images: Tensor, labels: list[Tensor]) -> Tensor:
    """The logits, with the terms that D's loss has beside them."""
    if not isinstance(discriminator, HasAuxiliaryLoss):
        return discriminator(images, *labels)  # type: ignore[no-any-return]
    logits, extra = discriminator.score_with_auxiliary(images, labels[0] if labels else None, torch.Generator())
    return logits + extra


@pytest.mark.parametrize(
    ("size", "channels", "num_classes"),  # sizes have to do with neither: each with some of all six combinations
    [
        ((8, 8), 1, 5), ((8, 8), 3, 0),
        ((28, 28), 1, 0), ((28, 28), 4, 5),
        ((48, 80), 3, 5),
        ((45, 37), 4, 0), ((45, 37), 1, 5),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("model", MODELS)
def test_any_image_shape(model: str, size: tuple[int, int], channels: int, num_classes: int) -> None:
    shape = (channels, *size)
    generator, discriminator = networks(model, shape, num_classes)
    for network in (generator, discriminator):
        start_zero_weights(network)
    labels = [torch.tensor([0, 4, 2])] if num_classes else []
    images = generator(torch.randn(3, 12), *labels)
    assert images.shape == (3, *shape) and images.isfinite().all()
    assert model not in BOUNDED or images.abs().max() <= 1
    logits = discriminator(images, *labels)
    assert logits.shape == (3,)
    score_all(discriminator, images, labels).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", MODELS)
def test_labels_matter(model: str) -> None:
    """The same latents and images with another label come out different, and each embedding is trained."""
    generator, discriminator = networks(model, (3, 9, 8), num_classes=3)
    generator.eval()
    discriminator.eval()
    latents, images = torch.randn(1, 12).expand(3, -1), torch.randn(1, 3, 9, 8).expand(3, -1, -1, -1)
    labels = torch.arange(3)
    made, logits = generator(latents, labels), discriminator(images, labels)
    assert len(torch.unique(made, dim=0)) == 3
    assert len(torch.unique(logits)) == 3
    torch.testing.assert_close(generator(latents, labels.flip(0)), made.flip(0))
    torch.testing.assert_close(discriminator(images, labels.flip(0)), logits.flip(0))
    for network, output in ((generator, made.square()), (discriminator, logits)):
        output.sum().backward()
        (embedding,) = (layer for layer in network.modules() if isinstance(layer, nn.Embedding))
        assert embedding.weight.grad is not None and embedding.weight.grad.any(dim=1).all()


@pytest.mark.parametrize("model", MODELS)
def test_memory_formats_do_not_change_the_outcome(model: str) -> None:
    generator, discriminator = networks(model, (3, 45, 37))
    generator.eval()
    discriminator.eval()
    latents = torch.randn(2, 12)
    expected = discriminator(generator(latents))
    for network in (generator, discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(discriminator(generator(latents)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["dcgan", "resnet", "r3gan", "fastgan"])
@pytest.mark.parametrize("size", [(7, 28), (28, 7)])
def test_too_small_an_image_is_refused(model: str, size: tuple[int, int]) -> None:
    sentence = f"^{model} can't make {size[0]}x{size[1]} images: each side must have at least 8 pixels"
    for make in (lambda: MODELS[model][0](12, (1, *size)), lambda: MODELS[model][2]((1, *size))):
        with pytest.raises(ValueError, match=sentence):
            make()


def test_widths_double_with_each_halving() -> None:
    assert stage_widths(4, 8, 32) == [32, 32, 16, 8]
    assert stage_widths(1, 8, 32) == [8]
    assert len(stage_sizes("dcgan", 64, 64)) == 5


def test_a_labels_embedding_follows_the_inputs() -> None:
    inputs, labels = torch.randn(3, 4), torch.tensor([1, 0, 1])
    embedding = LabelEmbedding(2)
    both = embedding(inputs, labels)
    assert both.shape == (3, 4 + embedding.dim)
    assert torch.equal(both[:, :4], inputs)
    assert embedding.embed is not None and torch.equal(both[:, 4:], embedding.embed.weight[labels])
    without = LabelEmbedding(0)
    assert without.dim == 0 and without(inputs, None) is inputs
    assert not list(without.parameters())
