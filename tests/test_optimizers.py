"""KerasAdam against its formula."""

import copy
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from gan_exp.optimizers import KerasAdam

LR, BETA1, BETA2, EPSILON = 3e-3, 0.5, 0.999, 1e-7
STEPS = 40


def gradients(count: int) -> list[Tensor]:
    """From large to so small that epsilon outweighs them: 1 to 1e-9."""
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


def update(optimizer: torch.optim.Optimizer, parameter: Tensor, steps: Sequence[Tensor]) -> None:
    for gradient in steps:
        parameter.grad = gradient.clone()
        optimizer.step()


@pytest.mark.parametrize("fused", [None, True])
def test_it_computes_the_formula(fused: bool | None) -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    update(KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON, fused), parameter, gradients(STEPS))
    expected = reference(torch.ones(12, dtype=torch.float64), gradients(STEPS))
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-14)


def test_it_is_not_torchs_adam() -> None:
    """The two differ where gradients are small, which is the reason for this class."""
    ours, theirs = (nn.Parameter(torch.ones(12, dtype=torch.float64)) for _ in range(2))
    update(KerasAdam([ours], LR, (BETA1, BETA2), EPSILON), ours, gradients(STEPS))
    update(torch.optim.Adam([theirs], LR, (BETA1, BETA2), EPSILON), theirs, gradients(STEPS))
    difference = (ours - theirs).detach().abs()
    assert difference[0] < 1e-6 and difference.max() > 5e-3


def test_it_continues_from_its_state() -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    steps = gradients(STEPS)
    first = KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON)
    update(first, parameter, steps[:15])
    second = KerasAdam([parameter], 1.0, (0.9, 0.9), 1.0)  # other settings, which the loaded state replaces
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    update(second, parameter, steps[15:])
    torch.testing.assert_close(
        parameter.detach(), reference(torch.ones(12, dtype=torch.float64), steps), rtol=1e-12, atol=1e-14
    )


def test_a_schedule_may_change_its_learning_rate() -> None:
    parameter = nn.Parameter(torch.ones(12, dtype=torch.float64))
    optimizer = KerasAdam([parameter], LR, (BETA1, BETA2), EPSILON)
    (gradient,) = gradients(1)
    update(optimizer, parameter, [gradient])
    after_one = parameter.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.0
    update(optimizer, parameter, [gradient])
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
