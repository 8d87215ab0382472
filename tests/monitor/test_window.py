"""Means over a window of updates."""

import copy

import pytest
import torch
from torch import nn

from gan_exp.monitor.window import Window, gradient_norm
from gan_exp.step import DiscriminatorReport


def report(loss: float, real: list[float], fake: list[float], penalty: float | None = None) -> DiscriminatorReport:
    return DiscriminatorReport(
        torch.tensor(loss),
        None if penalty is None else torch.tensor(penalty),
        torch.tensor(real),
        torch.tensor(fake),
    )


def test_means_over_all_updates() -> None:
    window = Window(torch.device("cpu"), "r1")
    window.add_discriminator(report(1.0, [1.0, -1.0, 2.0, 3.0], [1.0, -1.0, -2.0, -3.0], 0.5))
    window.add_discriminator(report(4.0, [-1.0] * 4, [1.0] * 4, 1.5))
    window.add_discriminator(report(1.0, [1.0] * 4, [-1.0] * 4, 1.0))
    window.add_generator(torch.tensor(2.0))
    window.add_generator(torch.tensor(5.0))
    assert window.read() == pytest.approx(
        {
            "loss/discriminator": 2.0,
            "accuracy/real": (0.75 + 0 + 1) / 3,
            "accuracy/fake": (0.75 + 0 + 1) / 3,
            "penalty/r1": 1.0,
            "loss/generator": 3.5,
            "accuracy/discriminator": (0.75 + 0 + 1) / 3,
        }
    )


def test_a_logit_of_zero_is_not_taken_for_real() -> None:
    """A probability of exactly one half: Keras' threshold is above, not at."""
    window = Window(torch.device("cpu"), None)
    window.add_discriminator(report(0.0, [0.0], [0.0]))
    metrics = window.read()
    assert (metrics["accuracy/real"], metrics["accuracy/fake"], metrics["accuracy/discriminator"]) == (0, 1, 0.5)


def test_reading_begins_a_new_window() -> None:
    window = Window(torch.device("cpu"), None)
    window.add_discriminator(report(8.0, [1.0], [1.0]))
    window.add_generator(torch.tensor(8.0))
    window.read()
    window.add_discriminator(report(2.0, [1.0], [1.0]))
    window.add_generator(torch.tensor(3.0))
    metrics = window.read()
    assert metrics["loss/discriminator"] == 2 and metrics["loss/generator"] == 3 and "penalty/r1" not in metrics


def test_a_window_goes_on_from_its_state() -> None:
    first, second = Window(torch.device("cpu"), None), Window(torch.device("cpu"), None)
    for window in (first, second):
        window.add_discriminator(report(0.1, [1.0, -1.0], [-1.0]))
        window.add_generator(torch.tensor(0.3))
    third = Window(torch.device("cpu"), None)
    saved = second.state_dict()
    third.load_state_dict(copy.deepcopy(saved))
    second.add_generator(torch.tensor(9.0))
    assert saved["generator"] == pytest.approx(0.3)  # a copy, not the running sum itself
    for window in (first, third):
        window.add_discriminator(report(0.7, [1.0, 1.0], [1.0]))
        window.add_generator(torch.tensor(0.5))
    assert first.read() == third.read()


def test_gradient_norm() -> None:
    layer = nn.Linear(2, 1)
    assert gradient_norm(layer) == 0
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert gradient_norm(layer) == pytest.approx(13)


def test_accuracy_is_counted_at_the_losss_boundary() -> None:
    """LSGAN's targets are 0 and 1; a relativistic logit has no zero, only more and less."""
    at_half, relative = Window(torch.device("cpu"), None, 0.5), Window(torch.device("cpu"), None, None)
    at_half.add_discriminator(report(0.0, [0.6, 0.4], [0.4, 0.5]))
    relative.add_discriminator(report(0.0, [11.0, 9.0, 13.0, 11.5], [9.0, 7.0, 10.5, 8.0]))
    metrics = at_half.read()
    assert (metrics["accuracy/real"], metrics["accuracy/fake"]) == (0.5, 1.0)
    metrics = relative.read()
    assert (metrics["accuracy/real"], metrics["accuracy/fake"]) == (0.75, 0.75)  # the middle is 9.875
