"""Leaky ReLU in place, and ReLU: torch's functions and derivatives, without the zeros of torch's second derivative."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.func import grad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import leaky_relu, relu

from gan_exp.models.activation import LeakyReLU, Rectification, activate, rectify
from gan_exp.models.dcgan import DCGANDiscriminator
from gan_exp.models.fastgan import FastGANDiscriminator
from gan_exp.models.parts import takes_functions
from gan_exp.models.r3gan import R3GANDiscriminator, _BiasedActivation
from gan_exp.models.resnet import ResNetDiscriminator
from kernels import Kernels

EXACT = torch.float64
SHAPE = (3, 16, 16)


def discriminators() -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        DCGANDiscriminator(SHAPE, 4, batch_norm=False, hidden=[5]).to(EXACT),
        FastGANDiscriminator(SHAPE, 4, batch_norm=False).to(EXACT),
        R3GANDiscriminator(SHAPE, 4, 4, blocks=1, group_size=4).to(EXACT),
    ]


def penalised(network: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and a loss with R1 in it."""
    images = images.detach().requires_grad_()
    logits = network(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, logits.square().sum() + gradient.square().sum()


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let networks activate by another function, such as a GPU's."""

    def patch(function: Any) -> None:
        monkeypatch.setattr("gan_exp.models.r3gan.activate", function)
        monkeypatch.setattr(LeakyReLU, "forward", lambda layer, input: function(input, layer.negative_slope))

    return patch


WAYS = (activate, partial(leaky_relu, inplace=True), leaky_relu)  # of a GPU, of most on a CPU, overwriting nothing


def test_it_is_differentiable_twice() -> None:
    features = torch.randn(3, 4, dtype=EXACT, requires_grad=True)

    def cubed(features: Tensor) -> Tensor:
        return activate(features * 1, 0.2) ** 3

    assert gradcheck(cubed, features) and gradgradcheck(cubed, features)


@pytest.mark.parametrize("which", range(3))
def test_networks_compute_what_they_do_with_torchs_own(which: int, take: Callable[[Any], None]) -> None:
    """To the last bit: logits, and the gradients of a penalty at all weights."""
    network, found = discriminators()[which], []
    images = torch.randn(2, *SHAPE, dtype=EXACT)
    for way in WAYS:
        take(way)
        logits, loss = penalised(network, images)
        gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        found.append([logits, *(each for each in gradients if each is not None)])
    for gpus, cpus, wanted in zip(*found, strict=True):
        assert torch.equal(gpus, wanted) and torch.equal(cpus, wanted)


@pytest.mark.parametrize("which", range(3))
def test_a_penalty_adds_no_zeros(which: int, take: Callable[[Any], None]) -> None:
    """Two kernels fewer for each activation: the zeros, and their addition."""
    network, counts = discriminators()[which], []
    for way in (activate, leaky_relu):
        take(way)
        _, loss = penalised(network, torch.zeros(2, *SHAPE, dtype=EXACT))
        with Kernels() as kernels:
            loss.backward()
        counts.append(kernels.counts)
    activations = sum(isinstance(layer, LeakyReLU | _BiasedActivation) for layer in network.modules())
    fewer = counts[1] - counts[0]
    assert fewer["zeros_like"] == activations >= 3
    assert fewer["add"] + fewer["add_"] >= activations - 1


@pytest.mark.parametrize("labelled", [False, True])
def test_resnet_computes_what_it_does_with_torchs_own_and_adds_no_zeros(
    labelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit; its blocks' inputs are activated and added, so that they can't be overwritten."""
    torch.manual_seed(0)
    network = ResNetDiscriminator(SHAPE, 4, num_classes=3 * labelled).to(EXACT)
    images, labels = torch.randn(2, *SHAPE, dtype=EXACT), torch.tensor([0, 2]) if labelled else None
    found, zeros = [], []
    for way in (Rectification.apply, relu):
        monkeypatch.setattr("gan_exp.models.resnet.rectify", way)
        logits, loss = penalised(lambda images: network(images, labels), images)
        with Kernels() as kernels:
            gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        zeros.append(kernels.counts["zeros_like"])
        found.append([logits, *(each for each in gradients if each is not None)])
    for gpus, wanted in zip(*found, strict=True):
        assert torch.equal(gpus, wanted)
    assert zeros[1] - zeros[0] == 2 * len(network.blocks)  # the first block has one, D's end another


def test_a_relu_on_a_cpu_is_torchs_and_keeps_its_input() -> None:
    features = torch.tensor([-1.0, 2.0], requires_grad=True)
    activated = rectify(features)
    assert activated.tolist() == [0, 2] and features.tolist() == [-1, 2]
    assert activated.grad_fn is not None and activated.grad_fn.name() == "ReluBackward0"


def test_the_activated_features_alone_are_kept(take: Callable[[Any], None]) -> None:
    """Of DCGAN's discriminator half of what torch's own keeps."""
    network, sizes = discriminators()[0], []
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    for way in WAYS:
        take(way)
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor, kept: dict[int, Tensor] = kept) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            network(torch.zeros(8, *SHAPE, dtype=EXACT))
        sizes.append(sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights))
    images = 8 * 3 * 16 * 16 * 8
    assert sizes[0] == sizes[1] and sizes[0] - images <= 0.55 * (sizes[2] - images)


def test_a_trace_holds_the_second_derivatives(take: Callable[[Any], None]) -> None:
    take(activate)
    network, images = discriminators()[2], torch.randn(2, *SHAPE, dtype=EXACT)

    def gradients(images: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(penalised(network, images)[1], list(network.parameters())))

    for one, other in zip(make_fx(gradients)(images)(images), gradients(images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_what_differentiates_in_another_way_gets_torchs_own() -> None:
    """torch.func refuses such Functions."""
    seen: list[bool] = [takes_functions()]

    def summed(values: Tensor) -> Tensor:
        seen.append(takes_functions())
        return values.sum()

    grad(summed)(torch.ones(2))
    with torch.no_grad():
        seen.append(takes_functions())
    assert seen == [True, False, False]


@pytest.mark.parametrize("way", WAYS[:2])
def test_under_autocast_it_keeps_the_format(way: Any, take: Callable[[Any], None]) -> None:
    take(way)
    convolution, activation = nn.Conv2d(3, 4, 3), LeakyReLU(0.2)
    with torch.autocast("cpu", torch.bfloat16):
        activated = activation(convolution(torch.randn(2, *SHAPE)))
    assert activated.dtype == torch.bfloat16 and (activated < 0).any()
    activated.sum().backward()
    assert convolution.weight.grad is not None and convolution.weight.grad.dtype == torch.float32


def test_on_a_cpu_r3gan_alone_does_without_zeros() -> None:
    found = []
    for network in discriminators():
        _, loss = penalised(network, torch.zeros(2, *SHAPE, dtype=EXACT))
        with Kernels() as kernels:
            loss.backward()
        found.append(kernels.counts["zeros_like"] > 0)
    assert found == [True, True, False]
