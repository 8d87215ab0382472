"""Curves keep every point as long as there is room, and their extremes where there is not."""

import math
from statistics import fmean

import pytest

from gan_exp.report.thinning import collect


def waves(count: int, every: int = 1, **tags: float) -> list[dict[str, float]]:
    return [{"step": step, "loss/generator": math.sin(step), **tags} for step in range(every, count * every + 1, every)]


def test_few_points_are_all_there() -> None:
    curves = collect([waves(5, 100)])
    assert curves.steps == [[100, 200, 300, 400, 500]] and curves.spans == {}
    expected = [float(f"{math.sin(step):.5g}") for step in (100, 200, 300, 400, 500)]
    assert curves.runs == [{"loss/generator": {"s": 0, "y": expected}}]


def test_runs_with_the_same_steps_share_them() -> None:
    curves = collect([waves(4), waves(4), waves(3)])
    assert [one["loss/generator"]["s"] for one in curves.runs] == [0, 0, 1] and len(curves.steps) == 2


def test_a_span_keeps_its_mean_and_its_extremes() -> None:
    """A peak of one step in a hundred thousand is still there."""
    records = waves(100_000)
    records[77_777]["loss/generator"] = 50.0
    curves = collect([records])
    curve, span = curves.runs[0]["loss/generator"], curves.spans["loss/generator"]
    assert len(curve["y"]) * 3 <= 3_000 + 3 and max(curve["hi"]) == 50.0
    place = curve["hi"].index(50.0)
    inside = [one["loss/generator"] for one in records if one["step"] // span == 77_778 // span]
    assert curve["y"][place] == pytest.approx(fmean(inside), rel=1e-4)
    assert curve["lo"][place] == pytest.approx(min(inside), rel=1e-4)
    assert all(low <= mean <= high for low, mean, high in zip(curve["lo"], curve["y"], curve["hi"], strict=True))


def test_a_tag_is_thinned_in_all_runs_or_in_none() -> None:
    curves = collect([waves(40_000), waves(10)])
    assert "lo" in curves.runs[1]["loss/generator"]


def test_many_runs_have_less_room_each_and_the_least_important_tags_go_first() -> None:
    tags = {"progress/kimg": 1.0, "evaluation/fid_cnn": 2.0}
    curves = collect([waves(500, **tags) for _ in range(20)], points=1_000)
    assert curves.left_out == ["progress/kimg"] and set(curves.runs[0]) == {"evaluation/fid_cnn", "loss/generator"}
    numbers = sum(
        len(values)
        for run in curves.runs
        for curve in run.values()
        for values in curve.values()
        if values != curve["s"]
    )
    assert numbers < 1_500


def test_no_records_no_curves() -> None:
    curves = collect([[], []])
    assert curves.runs == [{}, {}] and curves.steps == [] and curves.left_out == []


def test_odd_values_are_passed_over_and_the_later_of_two_counts() -> None:
    records: list[dict[str, float]] = [{"step": 1, "a": 1.0}, {"step": 1, "a": 2.0, "note": "x"}]  # type: ignore[dict-item]
    assert collect([records]).runs == [{"a": {"s": 0, "y": [2.0]}}]
