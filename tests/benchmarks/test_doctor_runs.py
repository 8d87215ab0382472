"""The doctor's labelled runs can be trained, and the verdicts are counted as the page says."""

import json
from pathlib import Path

import pytest
from benchmarks.doctor.__main__ import Case, summary, table
from benchmarks.doctor.photographs import write_photographs
from benchmarks.doctor.runs import SHORT, Run
from benchmarks.doctor.training import directory, has_ended, overrides
from benchmarks.doctor.usual import USUAL

from builders import plain_config
from gan_exp.diagnosis.troubles import HEALTHY, TROUBLES

RUNS = [*USUAL, *SHORT]


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_run_can_be_trained(run: Run) -> None:
    config = plain_config(*(word.format(photographs="/photographs") for word in overrides(run)))
    assert config.steps // config.sample_every_steps >= (8 if run.short else 2)  # a verdict needs so many grids


def test_usual_runs_have_the_default_intervals() -> None:
    plain = plain_config()
    for config in (plain_config(*(word.format(photographs="/x") for word in overrides(run))) for run in USUAL):
        assert config.log_every_steps == plain.log_every_steps
        assert config.sample_every_steps == plain.sample_every_steps


def test_each_verdict_has_its_runs() -> None:
    expected = [name for run in RUNS for name in run.expected]
    assert set(expected) == {HEALTHY, *(trouble.name for trouble in TROUBLES)}
    assert len({directory(Path(), run, 0) for run in RUNS}) == len(RUNS) >= 60
    assert all(expected.count(name) >= 3 for name in expected)


def test_what_is_right_what_is_wrong_and_what_is_neither() -> None:
    """No trouble may be reported for a healthy run, and no run made to fail may be called healthy."""
    healthy, other = Run("a", ("healthy",), "", ()), Run("b", ("stalled", "oscillation"), "", ())
    cases = [
        Case(healthy, 0, "healthy", 500, ("too early to say", "unclear")),
        Case(healthy, 1, "healthy", 900, ("stalled",)),
        Case(healthy, 2, "too early to say", 0, ()),
        Case(other, 0, "oscillation", 700, ("healthy",)),
        Case(other, 1, "healthy", 700, ("oscillation",)),
        Case(other, 2, "memorising", 700, ()),
    ]
    assert [case.right for case in cases] == [True, False, False, True, False, False]
    assert [case.wrong for case in cases] == [False, True, False, False, True, False]
    counts = [row.split(" | ")[1:] for row in summary(cases).splitlines()[2:]]
    assert counts == [["3", "1", "1", "1 |"], ["3", "1", "1", "1 |"]]
    head, _, *rows = table(cases).splitlines()
    assert head == "| run | setting | expected verdict | seed 0 | seed 1 | seed 2 |"
    assert rows == [
        "| a |  | healthy | healthy, 500 | **stalled** | *too early to say* |",
        "| b |  | stalled or oscillation | oscillation, 700 | **healthy** | *memorising* |",
    ]


def test_photographs_are_a_folder_of_two_classes(tmp_path: Path) -> None:
    places = {path.parent.name for path in write_photographs(tmp_path, stride=200).rglob("*.png")}
    assert places == {"china", "flower"}


def test_only_a_finished_or_failed_run_has_ended(tmp_path: Path) -> None:
    run = RUNS[0]
    place = directory(tmp_path, run, 3)
    place.mkdir()
    assert not has_ended(tmp_path, run, 3)
    for state, ended in (("running", False), ("interrupted", False), ("failed", True), ("finished", True)):
        (place / "status.json").write_text(json.dumps({"state": state}))
        assert has_ended(tmp_path, run, 3) == ended
