"""Numbers that are not finite are found in any tensor."""

import pytest
import torch
from torch import nn

from gan_exp.diagnosis.finite import _total, all_finite, broken_parts


def networks() -> dict[str, nn.Module]:
    made = {"generator": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "discriminator": nn.Linear(2, 1)}
    for network in made.values():
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    return made


def test_finite_networks() -> None:
    assert all_finite(networks(), torch.ones(3)) and broken_parts(networks()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_each_place(value: float) -> None:
    assert not all_finite(networks(), torch.tensor([0.0, value]))
    found = networks()
    weights, gradients = found["generator"].state_dict()["1.running_mean"], found["discriminator"].weight.grad
    weights[1] = value
    assert not all_finite(found) and broken_parts(found) == ["generator.1.running_mean"]
    assert isinstance(gradients, torch.Tensor)
    gradients[0, 1] = value
    assert broken_parts(found) == ["generator.1.running_mean", "the gradient of discriminator.weight"]


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("value", [1e18, float("nan"), float("inf"), -float("inf")])
def test_a_gpus_way_finds_the_same(value: float, on_gpu: bool) -> None:
    """On the CPU: torch has the same function there, only slower."""
    values = [torch.ones(3, 4), torch.ones(5), torch.tensor(2.0)]
    assert _total(values, on_gpu).isfinite()
    for tensor in values:
        tensor.view(-1)[-1] = value
        assert _total(values, on_gpu).isfinite() == (value == 1e18)
        tensor.fill_(1)
    values[0][0, :2] = torch.tensor([float("inf"), -float("inf")])
    assert not _total(values, on_gpu).isfinite()


def test_half_precision_of_a_frozen_network() -> None:
    """Whose numbers are finite, while their sum is beyond the largest of float16."""
    found = networks()
    backbone = nn.Linear(300, 300).half().requires_grad_(False)
    backbone.weight.fill_(1.0)
    found["discriminator"] = nn.Sequential(found["discriminator"], backbone)
    assert all_finite(found)
    backbone.weight[0, 0] = float("nan")
    assert not all_finite(found)
