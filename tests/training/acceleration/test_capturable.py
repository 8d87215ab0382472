"""Updates with their changing numbers on the device, against the formulas and torch's own."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from gan_exp.optimizers import KerasAdam
from gan_exp.training.acceleration.capturable import OnDevice, unfit

CPU = torch.device("cpu")


@pytest.mark.parametrize("option", ["amsgrad", "maximize", "differentiable"])
def test_options_that_the_written_out_update_lacks_are_refused(option: str) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))], **{option: True})
    assert unfit(optimizer, beta2_scheduled=False) is None  # torch's own implementation has it
    assert unfit(optimizer, beta2_scheduled=True) == f"{option} has no form with a scheduled beta2 on the GPU"


def gradients() -> list[Tensor]:
    """From large to so small that epsilon is all there is: 1 to 1e-9."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(12, generator=generator) * torch.logspace(0, -9, 12) for _ in range(30)]


@pytest.mark.parametrize("scheduled", [False, True])
def test_keras_adam_is_the_formula(scheduled: bool) -> None:
    """alpha_t = lr sqrt(1 - beta2^t) / (1 - beta1^t), epsilon as it is, in float64 beside it."""
    parameter = nn.Parameter(torch.ones(12))
    optimizer = KerasAdam([parameter], 3e-3, (0.5, 0.999), 1e-7, fused=True)
    on_device = OnDevice(optimizer, CPU, scheduled)
    value, mean, square = torch.ones(12).double(), torch.zeros(12).double(), torch.zeros(12).double()
    for t, gradient in enumerate(gradients(), 1):
        parameter.grad = gradient
        on_device.refresh()
        on_device.step()
        mean = 0.5 * mean + 0.5 * gradient
        square = 0.999 * square + 0.001 * gradient.double() ** 2
        alpha = 3e-3 * math.sqrt(1 - 0.999**t) / (1 - 0.5**t)
        value = value - alpha * mean / (square.sqrt() + 1e-7)
    torch.testing.assert_close(parameter.detach().double(), value, rtol=2e-6, atol=0)
    assert on_device.updates == 30 and optimizer.param_groups[0]["updates"] == 0  # CapturedStep counts them


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_scheduled_beta2_is_torchs_adam(kind: type[torch.optim.Adam], decay: float) -> None:
    ours = nn.Parameter(torch.ones(12))
    theirs = copy.deepcopy(ours)
    first, second = (kind([parameter], 3e-3, (0.5, 0.9), weight_decay=decay) for parameter in (ours, theirs))
    on_device = OnDevice(first, CPU, beta2_scheduled=True)
    for t, gradient in enumerate(gradients()):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in (first, second):
            optimizer.param_groups[0].update(lr=3e-3 / (t + 1), betas=(0.5, 0.9 + 0.003 * t))
        on_device.refresh()
        on_device.step()
        second.step()
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=0)
    assert first.state_dict()["param_groups"] == second.state_dict()["param_groups"]
    for key, value in second.state[theirs].items():
        torch.testing.assert_close(first.state[ours][key], value, rtol=2e-6, atol=1e-30)
