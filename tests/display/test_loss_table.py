"""Both networks' losses and D's accuracy, at any width."""

import io
import re

import pytest
from rich.console import Console

from gan_exp.display.loss_table import LossTable, sparkline
from gan_exp.losses import Balance

METRICS = {"loss/discriminator": 1.25, "loss/generator": 0.75, "accuracy/real": 1.0, "accuracy/fake": 1.0}


def scores(balance: Balance = Balance(1.38629, 0.69314)) -> LossTable:  # noqa: B008
    found = LossTable()
    found.balance = balance
    for step in range(30):
        found.update({**METRICS, "loss/generator": 0.75 + step})
    return found


def lines(scores: LossTable, width: int) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=width).print(scores.table(width))
    return [line.rstrip() for line in written.getvalue().splitlines()]


@pytest.mark.parametrize("width", [50, 60, 72, 80, 100, 120, 200])
def test_ds_accuracy_is_shown_at_any_width(width: int) -> None:
    """With the widest numbers: 100 % of both."""
    header, discriminator, generator = lines(scores(), width)
    assert all(len(line) <= width and "…" not in line for line in (header, discriminator, generator))
    assert discriminator.endswith("  100% (reals 100%, fakes 100%)") and "  1.2500 " in discriminator
    assert generator.endswith("  fools D with 0%") and "  29.7500 " in generator
    assert header.endswith("  D is right on")


@pytest.mark.parametrize(
    ("width", "named", "balanced", "trend"),
    [
        (50, False, False, 0),
        (60, True, False, 0),
        (72, True, True, 0),
        (80, True, True, 11),
        (100, True, True, 24),
        (200, True, True, 24),
    ],
)
def test_columns_are_shown_as_far_as_they_fit(width: int, named: bool, balanced: bool, trend: int) -> None:
    header, discriminator, generator = lines(scores(), width)
    assert ("generator" in generator) == named
    assert ("balance" in header) == ("1.3863" in discriminator) == ("0.6931" in generator) == balanced
    assert len(re.sub("[^▁▂▃▄▅▆▇█]", "", generator)) == trend  # of the newest


def test_a_loss_without_balance_leaves_room_for_the_trend() -> None:
    header, discriminator, _ = lines(scores(Balance()), 80)
    assert "balance" not in header and "▁" * 20 in discriminator


def test_before_the_first_numbers() -> None:
    assert [line.split() for line in lines(LossTable(), 80)[1:]] == [
        ["D", "discriminator", "…"],
        ["G", "generator", "…"],
    ]


def test_sparkline() -> None:
    assert sparkline([0.0, 1.0, 0.5]) == "▁█▅"
    assert sparkline([3.0]) == "▁" and sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]) == "█▇▆▅▄▃▂▁"


def test_it_may_be_drawn_at_any_moment_of_an_update() -> None:
    """A GPU's lines come from the writing thread, while the loop redraws."""
    table = LossTable()
    drawn: list[list[str]] = []

    class Watched(dict[str, float]):
        def __getitem__(self, key: str) -> float:
            if len(drawn) < 2:
                drawn.append([])
                drawn[-1] += lines(table, 100)
            return super().__getitem__(key)

    table.update(Watched(METRICS))
    assert len(drawn) == 2 and not any("1.2500" in line for each in drawn for line in each)
    assert "1.2500" in lines(table, 100)[1]
