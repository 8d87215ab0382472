"""Spectral normalisation: once for each update, all layers together, against torch's own of each layer and call."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_exp.models.spectral import SpectralNorms, normalise_spectrally
from kernels import Kernels


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 1)
    return nn.Sequential(*layers).double().to(memory_format=torch.channels_last)


def pair() -> tuple[nn.Sequential, nn.Sequential]:
    """The same network with gan-exp's norms and with torch's."""
    ours, theirs = network(), network()
    normalise_spectrally(ours)
    for layer in theirs:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


IMAGES = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def penalised(network: nn.Module) -> list[Tensor]:
    """The logits, and the gradients at all parameters of their sum and of a gradient penalty."""
    images = IMAGES.clone().requires_grad_()
    logits = network(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    loss = logits.square().sum() + gradient.square().sum()
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    assert all(each is not None for each in found[1:])
    return [logits, gradient, *(each for each in found if each is not None)]


def test_one_call_is_torchs() -> None:
    """Weights, the vectors of the power iteration, and gradients, those of a penalty too."""
    ours, theirs = pair()
    for _ in range(3):
        with SpectralNorms(ours).once():
            found = penalised(ours)
        for one, other in zip(found, penalised(theirs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
        for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_the_network_is_the_same_function_in_each_call_of_an_update() -> None:
    ours, theirs = pair()
    with SpectralNorms(ours).once():
        first, second = ours(IMAGES), ours(IMAGES)
        kept = [buffer.clone() for buffer in ours[0].parametrizations.weight[0].buffers()]
        ours(IMAGES)
    assert torch.equal(first, second)
    theirs(IMAGES)
    expected = theirs[0].parametrizations.weight[0].buffers()
    for one, other in zip(kept[:2], expected, strict=True):  # turned once
        torch.testing.assert_close(one, other)
    assert not torch.equal(theirs(IMAGES), theirs(IMAGES))


def test_gradients_of_several_calls_add_up() -> None:
    ours, _ = pair()
    one = copy.deepcopy(ours)
    with SpectralNorms(one).once():
        (3 * one(IMAGES)).sum().backward()
    with SpectralNorms(ours).once():
        (ours(IMAGES) + 2 * ours(IMAGES)).sum().backward()
    for parameter, other in zip(ours.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)


def test_a_layer_that_no_call_uses_has_no_gradient() -> None:
    """As without the norm: an optimizer passes it over, which would move it by its moments at a gradient of 0."""
    ours, _ = pair()
    ours.append(nn.Linear(3, 3))
    normalise_spectrally(ours[5:])
    with SpectralNorms(ours).once():
        ours[:5](IMAGES).sum().backward()
    gradients = {name: parameter.grad is not None for name, parameter in ours.named_parameters()}
    assert [name for name, there in gradients.items() if not there] == ["5.bias", "5.parametrizations.weight.original"]


def test_outside_of_updates_nothing_is_left_over() -> None:
    ours, _ = pair()
    before = list(ours.state_dict())
    with pytest.raises(ZeroDivisionError), SpectralNorms(ours).once():
        raise ZeroDivisionError
    assert list(ours.state_dict()) == before == list(pair()[1].state_dict())
    assert not any("normalised" in name for name, _ in ours.named_buffers())
    ours.eval()
    assert torch.equal(ours(IMAGES), ours(IMAGES))


def test_more_layers_and_calls_cost_few_kernels() -> None:
    ours, theirs = pair()
    counts = []
    for each, norms in ((ours, SpectralNorms(ours)), (theirs, SpectralNorms(theirs))):
        with Kernels() as kernels, norms.once():
            each(IMAGES), each(IMAGES)
        counts.append(kernels.counts)
    assert counts[0]["mv"] == 6 and counts[1]["mv"] == 18  # three layers: two products each, or three in each call
    assert sum(counts[0].values()) < sum(counts[1].values()) / 2
