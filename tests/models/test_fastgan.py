"""FastGAN: gates, the sizes of D's features, reconstructions and the loss on them."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import glu

from gan_exp.models.fastgan import FastGANDiscriminator, FastGANGenerator, _difference, _quarter, gate
from gan_exp.models.parts import HasAuxiliaryLoss, with_layout
from kernels import Layouts


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("side", "gates"), [(32, 0), (64, 1), (128, 2), (256, 3)])
def test_fine_features_are_gated_by_those_that_are_sixteen_times_coarser(side: int, gates: int) -> None:
    generator = FastGANGenerator(8, (3, side, side), width=2)
    assert len(generator.excitations) == gates
    if gates:  # a closed gate leaves nothing but the last convolution's bias
        last = generator.excitations[str(len(generator.stages))]
        nn.init.zeros_(last.weights[3].weight)
        half = generator(torch.randn(2, 8))
        assert half.isfinite().all()
        last.weights[4] = nn.Threshold(1e9, 0.0)
        closed = generator(torch.randn(2, 8))
        assert torch.equal(closed, torch.tanh(generator.to_image.bias).view(1, 3, 1, 1).expand_as(closed))


def test_antialias_leaves_no_steps_between_pixels() -> None:
    """A ramp of four pixels becomes one of eight, evenly but at the edge, where the paper's has pairs of equals."""
    ramp = torch.tensor([0.0, 4.0, 8.0, 12.0]).expand(1, 2, 4, 4)
    found = []
    for antialias in (True, False):
        stage = FastGANGenerator(8, (3, 8, 8), width=1, antialias=antialias).stages[0]
        convolution = stage.layers[0].convolution  # of two channels, the second of which gates the first
        nn.init.zeros_(convolution.weight)
        convolution.weight.data[0, 0, 1, 1] = 1
        stage.layers[0].norm = nn.Identity()
        found.append((2 * stage(ramp))[0, 0, 3].tolist())
    assert found == [[0, 1, 3, 5, 7, 9, 11, 12], [0, 0, 4, 4, 8, 8, 12, 12]]


def test_without_batch_norm_the_logits_depend_on_the_image() -> None:
    """As with it: the authors' small weights are for networks whose features are normalised."""
    torch.manual_seed(0)
    discriminator = FastGANDiscriminator((3, 128, 128), width=4, batch_norm=False)
    pixels = torch.rand(8, 3, 1, 1).expand(-1, -1, 128, 128) * 2 - 1
    logits = discriminator(pixels)
    assert 0.003 < logits.std() < 3


def test_quarters() -> None:
    images = torch.arange(16.0).view(1, 1, 4, 4).expand(4, -1, -1, -1)
    parts = _quarter(images, torch.arange(4)).flatten(1)
    assert parts.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_the_difference_of_a_reconstruction() -> None:
    """Compared at its own size, with the mean of the pixels that one of its own covers."""
    images = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]], [[[1.0, 1.0], [1.0, 1.0]]]])
    assert _difference(torch.zeros(2, 1, 1, 1), images).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_logits_are_the_same_with_and_without_the_reconstructions(batch_norm: bool) -> None:
    discriminator = FastGANDiscriminator((3, 32, 32), width=4, batch_norm=batch_norm).eval()
    assert isinstance(discriminator, HasAuxiliaryLoss)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    logits, loss = discriminator.score_with_auxiliary(images, None, rng())
    torch.testing.assert_close(logits, discriminator(images))
    assert loss.shape == (3,) and (loss > 0).all()
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules()) == batch_norm


def test_the_decoders_learn() -> None:
    """The loss on the reconstructions falls, alone, to a fraction of what gray images have."""
    torch.manual_seed(0)
    discriminator = FastGANDiscriminator((1, 16, 16), width=8)
    images = torch.where(torch.arange(16)[None, None, None] < torch.tensor([4, 8, 12])[:, None, None, None], 1.0, -1.0)
    images = images.expand(3, 1, 16, 16)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        optimizer.zero_grad()
        loss = discriminator.score_with_auxiliary(images, None, rng(step))[1].mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize(("side", "limit", "made"), [(128, 128, 128), (128, 64, 64), (64, 128, 64), (256, 128, 128)])
def test_the_size_of_the_reconstructions(side: int, limit: int, made: int) -> None:
    discriminator = FastGANDiscriminator((3, side, side), width=2, reconstruction_size=limit)
    features = discriminator._features(torch.zeros(2, 3, side, side))
    assert discriminator.whole(features[-1]).shape == (2, 3, made, made)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_gate_is_a_gated_linear_unit(layout: torch.memory_format) -> None:
    features = torch.randn(2, 6, 3, 5, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    torch.testing.assert_close(gate(features), glu(features, dim=1), rtol=1e-14, atol=1e-14)
    assert gradcheck(gate, features) and gradgradcheck(gate, features)
    half = features.detach().bfloat16()
    torch.testing.assert_close(gate(half), glu(half, dim=1), rtol=2**-7, atol=0)


def test_everything_lies_channels_last() -> None:
    """But images: features in both passes, the decoders' too. torch's gradient of a gated linear unit does not."""
    generator, discriminator = (
        with_layout(network)
        for network in (FastGANGenerator(6, (3, 64, 64), width=2), FastGANDiscriminator((3, 64, 64), width=2))
    )
    images = torch.randn(5, 3, 64, 64)
    with Layouts(5) as found:
        discriminator(generator(torch.randn(5, 6))).sum().backward()
        logits, loss = discriminator.score_with_auxiliary(images, None, rng())
        (logits + loss).sum().backward()
    assert found.calls > 300
    assert [each for each in found.slow if "(5, 3, " not in each] == []
