"""Schedules at their ends, between them, and never beyond them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_exp.schedules import Constant, Cosine, Linear

PROGRESS = st.floats(0, 1)
FINAL = st.floats(0, 1)


def test_constant() -> None:
    assert [Constant()(progress) for progress in (0, 0.3, 1)] == [1, 1, 1]


def test_linear_stays_and_then_falls_in_a_straight_line() -> None:
    schedule = Linear(final=0.2, start=0.5)
    assert [schedule(p) for p in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1, 1, 1, 0.6, 0.2])
    assert Linear(final=0.0, start=0.0)(0.3) == pytest.approx(0.7)


def test_cosine_falls_along_half_a_cosine() -> None:
    assert [Cosine()(p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [Cosine(final=0.25)(p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.625, 0.25])
    assert Cosine()(1 / 3) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)


@given(PROGRESS, PROGRESS, FINAL, st.floats(0, 0.99))
def test_none_rises_or_leaves_its_ends(one: float, other: float, final: float, start: float) -> None:
    early, late = sorted((one, other))
    for schedule in (Linear(final, start), Cosine(final)):
        assert schedule(0) == pytest.approx(1) and schedule(1) == pytest.approx(final)
        assert final - 1e-9 <= schedule(late) <= schedule(early) + 1e-9 <= 1 + 2e-9


def test_a_cosine_that_ends_earlier_stays_at_its_end() -> None:
    schedule = Cosine(final=0.2, initial=1.0, until=0.4)
    assert [schedule(p) for p in (0, 0.2, 0.4, 0.7, 1)] == pytest.approx([1, 0.6, 0.2, 0.2, 0.2])
