"""The fused step against the step of the optimizer that it replaces."""

import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same
from gan_exp.optimizers import KerasAdam
from gan_exp.training.acceleration.fused_adam import fused_step

LR = 3e-3


def gradients(count: int) -> list[Tensor]:
    """From large to so small that epsilon outweighs them: 1 to 1e-9."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -9, 12, dtype=torch.float64)
    return [torch.randn(12, dtype=torch.float64, generator=generator) * scale for _ in range(count)]


# Each argument of torch's Adam with a value other than its default; a new argument of torch's needs an entry.
ADAMS: dict[str, dict[str, Any]] = {
    "lr": {"lr": torch.tensor(3e-3)},
    "betas": {"betas": (0.5, 0.9)},
    "eps": {"eps": 1e-3},
    "weight_decay": {"weight_decay": 0.1},
    "amsgrad": {"amsgrad": True},
    "foreach": {"foreach": True, "fused": None},
    "maximize": {"maximize": True},
    "capturable": {"capturable": True},
    "differentiable": {"differentiable": True, "fused": None},
    "fused": {"fused": None},
    "decoupled_weight_decay": {"decoupled_weight_decay": True, "weight_decay": 0.1},
}


def test_every_argument_of_torchs_adam_is_tried() -> None:
    assert ADAMS.keys() == inspect.signature(torch.optim.Adam).parameters.keys() - {"params"}


class UsersAdamW(torch.optim.AdamW):
    """An optimizer that a user brings."""


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((torch.optim.Adam, options) for options in ADAMS.values()),
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"weight_decay": 0.1}),
        (UsersAdamW, {"weight_decay": 0.1}),
        (KerasAdam, {"eps": 1e-3}),
    ],
    ids=[*ADAMS, "Adam", "AdamW", "a subclass", "KerasAdam"],
)
def test_the_fused_step_is_the_optimizers(kind: type[torch.optim.Adam], options: dict[str, Any]) -> None:
    """Bit for bit; options that it does not know are left to the optimizer."""
    ours, theirs = (nn.Parameter(torch.ones(12)) for _ in range(2))
    first, second = (kind([parameter], **{"lr": LR, "fused": True, **options}) for parameter in (ours, theirs))
    ours.grad, theirs.grad = torch.zeros(12), torch.zeros(12)
    step = fused_step(first)
    if first.param_groups[0]["differentiable"]:  # which torch itself can't do with parameters that it trains
        assert step == first.step
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of `capturable` where nothing captures
        for gradient in gradients(6):
            for parameter in (ours, theirs):
                assert parameter.grad is not None
                parameter.grad.copy_(gradient)
            with torch.no_grad():
                step()
                second.step()
    assert torch.equal(ours, theirs)
    assert_same(first.state_dict(), second.state_dict())


def test_an_unknown_option_of_a_group_is_left_to_the_optimizer() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))], fused=True)
    assert fused_step(optimizer) != optimizer.step
    optimizer.param_groups[0]["lookahead"] = 5
    assert fused_step(optimizer) == optimizer.step
