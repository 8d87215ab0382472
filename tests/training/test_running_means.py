"""Means over the updates since the last reading."""

import copy

import pytest
import torch

from builders import assert_same
from gan_exp.diagnosis.finite import LARGEST
from gan_exp.training.running_means import BLOCK, RunningMeans
from gan_exp.training.step_types import DiscriminatorReport, StepReport

CPU = torch.device("cpu")


def update(
    loss: float,
    real: list[float],
    fake: list[float],
    penalty: float | None = None,
    norms: list[float] | None = None,
) -> DiscriminatorReport:
    return DiscriminatorReport(
        torch.tensor(loss),
        None if penalty is None else torch.tensor(penalty),
        torch.tensor(real),
        torch.tensor(fake),
        gradient_norms=None if norms is None else torch.tensor(norms),
    )


def step(generator_loss: float, *updates: DiscriminatorReport, norm: float | None = None) -> StepReport:
    return StepReport(list(updates), torch.tensor(generator_loss), None if norm is None else torch.tensor(norm))


def test_means_over_all_updates() -> None:
    running_means = RunningMeans(CPU, "r1")
    reals, fakes = [1.0, -1.0, 2.0, 3.0], [1.0, -1.0, -2.0, -3.0]
    running_means.add(step(2.0, update(1.0, reals, fakes, 0.5), update(4.0, [-1.0] * 4, [1.0] * 4, 1.5)))
    running_means.add(step(5.0, update(1.0, [1.0] * 4, [-1.0] * 4, 1.0), update(2.0, [1.0] * 4, [-1.0] * 4)))
    assert running_means.read() == pytest.approx(
        {
            "loss/discriminator": 2.0,
            "accuracy/real": (0.75 + 0 + 1 + 1) / 4,
            "accuracy/fake": (0.75 + 0 + 1 + 1) / 4,
            "penalty/r1": 1.0,
            "loss/generator": 3.5,
            "accuracy/discriminator": (0.75 + 0 + 1 + 1) / 4,
        }
    )


def test_a_logit_of_zero_counts_as_fake() -> None:
    """A probability of exactly one half: Keras' threshold is above, not at."""
    running_means = RunningMeans(CPU, None)
    running_means.add(step(0.0, update(0.0, [0.0], [0.0])))
    metrics = running_means.read()
    assert (metrics["accuracy/real"], metrics["accuracy/fake"], metrics["accuracy/discriminator"]) == (0, 1, 0.5)


def test_reading_starts_again_from_zero() -> None:
    running_means = RunningMeans(CPU, None)
    running_means.add(step(8.0, update(8.0, [1.0], [1.0])))
    running_means.read()
    running_means.add(step(3.0, update(2.0, [1.0], [1.0])))
    metrics = running_means.read()
    assert metrics["loss/discriminator"] == 2 and metrics["loss/generator"] == 3 and "penalty/r1" not in metrics


def random_step(random: torch.Generator, number: int) -> StepReport:
    """Two updates of D, a penalty in each third."""
    updates = []
    measured = number % 4 == 0
    for k in range(2):
        loss, penalty, auxiliary = (torch.rand((), generator=random) for _ in range(3))
        logits, norms = torch.randn(2, 5, generator=random), torch.rand(1, generator=random)
        lazy = penalty if (2 * number + k) % 3 == 0 else None
        updates.append(DiscriminatorReport(loss, lazy, *logits, auxiliary, norms if measured else None))
    loss, norm = (torch.rand((), generator=random) for _ in range(2))
    return StepReport(updates, loss, norm if measured else None)


@pytest.mark.parametrize("saved_at", [1, BLOCK - 1, BLOCK, BLOCK + 7, 2 * BLOCK + 3])
def test_means_go_on_from_their_state_to_the_last_bit(saved_at: int) -> None:
    random = torch.Generator().manual_seed(0)
    reports = [random_step(random, number) for number in range(2 * BLOCK + 20)]
    whole, first, second = (RunningMeans(CPU, "r1", auxiliary_name="reconstruction") for _ in range(3))
    for report in reports[:saved_at]:
        first.add(report)
    saved = copy.deepcopy(first.state_dict())
    first.add(reports[0])
    second.load_state_dict(saved)
    for report in reports[saved_at:]:
        second.add(report)
    for report in reports:
        whole.add(report)
    assert second.broken_steps == 0
    assert whole.read() == second.read()


def test_the_running_sums_are_copied() -> None:
    running_means = RunningMeans(CPU, None)
    for _ in range(BLOCK):
        running_means.add(step(1.0, update(1.0, [1.0], [1.0])))
    saved = running_means.state_dict()
    running_means.read()
    assert saved["generator"] == BLOCK and saved["generator_updates"] == BLOCK


def test_the_state_of_an_older_version() -> None:
    old = RunningMeans(CPU, None).state_dict()
    del old["waiting"], old["gradient_norms"]
    running_means = RunningMeans(CPU, None)
    running_means.load_state_dict(old)
    running_means.add(step(3.0, update(2.0, [1.0], [1.0])))
    assert running_means.read()["loss/generator"] == 3


@pytest.mark.parametrize("broken_at", [0, 3, BLOCK - 1, BLOCK, BLOCK + 5])
@pytest.mark.parametrize("whose", ["discriminator", "generator"])
def test_the_first_step_whose_loss_is_not_finite(broken_at: int, whose: str) -> None:
    running_means = RunningMeans(CPU, None)
    for number in range(BLOCK + 10):
        bad = float("nan") if number == broken_at else 1.0
        losses = (bad, 1.0) if whose == "discriminator" else (1.0, bad)
        running_means.add(step(losses[1], update(losses[0], [1.0], [1.0])))
    assert running_means.broken_steps == BLOCK + 10 - broken_at


@pytest.mark.parametrize("absurd", [2 * LARGEST, -1e24, float("inf"), float("nan")])
@pytest.mark.parametrize("where", ["discriminator", "generator", "penalty", "norm of D", "norm of G"])
def test_the_first_step_with_an_absurd_number(where: str, absurd: float) -> None:
    """Also where the mean over the steps is not, and also if it was that of one step only."""
    if absurd < 0 and where not in ("discriminator", "generator"):
        return  # norms and penalties are never

    def step_number(number: int) -> StepReport:
        values = {
            name: absurd if number == 7 and name == where else 0.9 * LARGEST
            for name in ("discriminator", "generator", "penalty", "norm of D", "norm of G")
        }
        other = update(1.0, [1.0], [1.0])
        broken = update(values["discriminator"], [1.0], [1.0], values["penalty"], [1.0, values["norm of D"]])
        return step(values["generator"], other, broken, norm=values["norm of G"])

    running_means = RunningMeans(CPU, "r1")
    for number in range(BLOCK + 10):
        running_means.add(step_number(number))
        assert running_means.broken_steps == max(number - 6, 0)
    running_means.read()
    running_means.add(step_number(0))
    assert running_means.broken_steps == 0


def test_reading_broken_steps_changes_no_sum() -> None:
    looked, whole = RunningMeans(CPU, "r1"), RunningMeans(CPU, "r1")
    random = torch.Generator().manual_seed(0)
    for number in range(BLOCK + 20):
        report = random_step(random, number)
        for running_means in (looked, whole):
            running_means.add(report)
        assert looked.broken_steps == 0
    assert_same(looked.state_dict(), whole.state_dict())


def test_accuracy_is_counted_at_the_losss_boundary() -> None:
    """LSGAN's targets are 0 and 1; a relativistic logit has no zero, only more and less."""
    at_half, relative = RunningMeans(CPU, None, 0.5), RunningMeans(CPU, None, None)
    at_half.add(step(0.0, update(0.0, [0.6, 0.4], [0.4, 0.5])))
    other = update(0.0, [1.0, -1.0, 2.0, 3.0], [0.0, 0.1, 0.2, 0.3])  # its middle is another: all its own
    relative.add(step(0.0, update(0.0, [11.0, 9.0, 13.0, 11.5], [9.0, 7.0, 10.5, 8.0]), other))
    metrics = at_half.read()
    assert (metrics["accuracy/real"], metrics["accuracy/fake"]) == (0.5, 1.0)
    metrics = relative.read()
    # The middles are 9.875 and 0.7.
    assert (metrics["accuracy/real"], metrics["accuracy/fake"]) == ((0.75 + 0.75) / 2, (0.75 + 1) / 2)


def test_the_loss_of_ds_own() -> None:
    running_means = RunningMeans(CPU, None, auxiliary_name="reconstruction")
    for number in range(3):
        one = update(1.0, [1.0], [1.0])._replace(auxiliary=torch.tensor(float(number)))
        running_means.add(step(1.0, one, one._replace(auxiliary=torch.tensor(2.0))))
    assert running_means.broken_steps == 0
    assert running_means.read()["loss/reconstruction"] == 1.5
    broken = update(1.0, [1.0], [1.0])._replace(auxiliary=torch.tensor(float("nan")))
    running_means.add(step(1.0, broken))
    assert running_means.broken_steps == 1
