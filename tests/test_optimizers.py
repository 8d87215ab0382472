"""KerasAdam against the formula, and the quick step against the optimizer's own."""

import copy
import inspect
import math
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same
from gan_exp.optimizers import KerasAdam, quick_step

LR, BETA1, BETA2, EPSILON = 3e-3, 0.5, 0.999, 1e-7
STEPS = 40


def gradients(count: int) -> list[Tensor]:
    """From large to so small that epsilon is all there is: 1 to 1e-9."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -9, 12, dtype=torch.float64)
    return [torch.randn(12, dtype=torch.float64, generator=generator) * scale for _ in range(count)]


def reference(start: Tensor, steps: Sequence[Tensor], lr: float = LR) -> Tensor:
    """Kingma and Ba 2015, the end of section 2: alpha_t = alpha sqrt(1 - beta2^t) / (1 - beta1^t)."""
    value, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for t, gradient in enumerate(steps, 1):
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient**2
        alpha = lr * math.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        value = value - alpha * mean / (square.sqrt() + EPSILON)
    return value


def play(optimizer: torch.optim.Optimizer, parameter: Tensor, steps: Sequence[Tensor]) -> None:
    for gradient in steps:
        parameter.grad = gradient.clone()
        optimizer.step()


@pytest.mark.parametrize("fused", [None, True])
def test_it_computes_the_formula(fused: bool | None) -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    play(KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON, fused), parameter, gradients(STEPS))
    expected = reference(torch.ones(12, dtype=torch.float64), gradients(STEPS))
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-14)


# Each argument of torch's Adam with another value than its own; a new one that torch brings needs an entry.
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


class Own(torch.optim.AdamW):
    """An optimizer of the user's."""


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((torch.optim.Adam, options) for options in ADAMS.values()),
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"weight_decay": 0.1}),
        (Own, {"weight_decay": 0.1}),
        (KerasAdam, {"eps": 1e-3}),
    ],
    ids=[*ADAMS, "Adam", "AdamW", "a subclass", "KerasAdam"],
)
def test_the_quick_step_is_the_optimizers(kind: type[torch.optim.Adam], options: dict[str, Any]) -> None:
    """Bit by bit: what it does not know is left to the optimizer."""
    ours, theirs = (nn.Parameter(torch.ones(12)) for _ in range(2))
    first, second = (kind([parameter], **{"lr": LR, "fused": True, **options}) for parameter in (ours, theirs))
    ours.grad, theirs.grad = torch.zeros(12), torch.zeros(12)
    step = quick_step(first)
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


def test_an_option_of_a_group_that_is_not_known_is_left_to_the_optimizer() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))], fused=True)
    assert quick_step(optimizer) != optimizer.step
    optimizer.param_groups[0]["lookahead"] = 5
    assert quick_step(optimizer) == optimizer.step


def test_it_is_not_torchs_adam() -> None:
    """Where gradients are small the two differ: what this class is for."""
    ours, theirs = (nn.Parameter(torch.ones(12, dtype=torch.float64)) for _ in range(2))
    play(KerasAdam([ours], LR, (BETA1, BETA2), EPSILON), ours, gradients(STEPS))
    play(torch.optim.Adam([theirs], LR, (BETA1, BETA2), EPSILON), theirs, gradients(STEPS))
    difference = (ours - theirs).detach().abs()
    assert difference[0] < 1e-6 and difference.max() > 5e-3


def test_it_goes_on_from_its_state() -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    steps = gradients(STEPS)
    first = KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON)
    play(first, parameter, steps[:15])
    second = KerasAdam([parameter], 1.0, (0.9, 0.9), 1.0)  # other settings: the state brings its own
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    play(second, parameter, steps[15:])
    torch.testing.assert_close(
        parameter.detach(), reference(torch.ones(12, dtype=torch.float64), steps), rtol=1e-12, atol=1e-14
    )


def test_a_schedule_may_change_its_learning_rate() -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    optimizer = KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON)
    (gradient,) = gradients(1)
    play(optimizer, parameter, [gradient])
    after_one = parameter.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.0
    play(optimizer, parameter, [gradient])
    assert torch.equal(parameter, after_one)


def test_a_closure_is_called_once() -> None:
    parameter = nn.Parameter(torch.ones(1))
    calls = []

    def closure() -> Tensor:
        calls.append(1)
        parameter.grad = torch.ones(1)
        return torch.tensor(0.25)

    assert KerasAdam([parameter]).step(closure) == 0.25
    assert len(calls) == 1 and parameter.item() < 1
