"""Each layer's manual backward pass against autograd's, in float64."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from builders import assert_same
from gan_exp.models.mlp import KerasBatchNorm1d
from gan_exp.training.acceleration.manual_layers import Batching, ManualNetwork

N = 6


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(sum(shape)))


def layers(norm: type[nn.BatchNorm1d]) -> list[nn.Module]:
    torch.manual_seed(0)
    found = [
        nn.Flatten(),
        nn.Linear(12, 8),
        nn.LeakyReLU(0.3),
        norm(8, eps=1e-3, momentum=0.2),
        nn.Linear(8, 7),
        norm(7),
        nn.ReLU(),
        nn.Linear(7, 12),
        nn.Tanh(),
        nn.Unflatten(1, (3, 4)),
    ]
    for layer in found:
        for parameter in layer.double().parameters():
            nn.init.normal_(parameter)
    return found


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, KerasBatchNorm1d])
@pytest.mark.parametrize(("batches", "inference"), [(1, False), (2, False), (2, True), (3, True)])
def test_gradients_are_autograds(norm: type[nn.BatchNorm1d], batches: int, inference: bool) -> None:
    """Of the last of several batches; all others pass as they would by themselves, one after the other."""
    modules = layers(norm)
    plain = nn.Sequential(*copy.deepcopy(modules))
    inputs, gradient = random(batches * N, 3, 4), random(N, 3, 4)
    *others, last = inputs.clone().split(N)
    expected = []
    for batch in others:
        plain.train(not inference)
        expected.append(plain(batch).detach())
    plain.train()
    last.requires_grad_()
    expected.append(plain(last))
    expected[-1].backward(gradient)

    with torch.no_grad():
        manual = ManualNetwork(modules)
        found = manual.forward(inputs, Batching(N, inference))
        to_inputs = manual.backward(gradient, to_inputs=True)
    torch.testing.assert_close(found, torch.cat(expected).detach())
    torch.testing.assert_close(to_inputs, last.grad)
    both = zip(nn.Sequential(*modules).named_parameters(), plain.named_parameters(), strict=True)
    for (name, manual_parameter), (_, parameter) in both:
        torch.testing.assert_close(manual_parameter.grad, parameter.grad, msg=name)
    torch.testing.assert_close(nn.Sequential(*modules).state_dict(), plain.state_dict())


def test_gradients_go_only_where_they_are_asked_for() -> None:
    modules = layers(nn.BatchNorm1d)
    with torch.no_grad():
        manual = ManualNetwork(modules)
        manual.forward(random(N, 3, 4), Batching(N))
        assert manual.backward(random(N, 3, 4), to_weights=False, to_inputs=True) is not None
        assert all(not p.grad.any() for p in nn.Sequential(*modules).parameters() if p.grad is not None)
        assert manual.backward(random(N, 3, 4)) is None
    assert all(p.grad.any() for p in nn.Sequential(*modules).parameters() if p.grad is not None)


def test_gradients_are_written_where_they_were() -> None:
    """The fused Adam collects them once."""
    modules = layers(KerasBatchNorm1d)
    with torch.no_grad():
        manual = ManualNetwork(modules)
        places = [parameter.grad for parameter in nn.Sequential(*modules).parameters()]
        for _ in range(2):
            manual.forward(random(N, 3, 4), Batching(N))
            manual.backward(random(N, 3, 4))
    for parameter, place in zip(nn.Sequential(*modules).parameters(), places, strict=True):
        assert parameter.grad is place
    assert_same([place is not None and place.isfinite().all().item() for place in places], [True] * len(places))


class _Subclass(nn.Linear):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout(0.5),
        nn.Conv2d(1, 1, 3),
        nn.Linear(3, 3, bias=False),
        spectral_norm(nn.Linear(3, 3)),
        nn.BatchNorm1d(3, affine=False),
        nn.BatchNorm1d(3, momentum=None),
        nn.LeakyReLU(-0.1),
        _Subclass(3, 3),
    ],
    ids=itertools.count(),
)
def test_other_layers_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match="has no manual backward pass"):
        ManualNetwork([nn.Linear(3, 3), layer])
