"""The doctor's labelled runs are games that can be played, and the verdicts are counted as the page says."""

import json
from pathlib import Path

import pytest
from benchmarks.doctor.__main__ import Case, summary, table
from benchmarks.doctor.play import directory, is_played
from benchmarks.doctor.runs import RHYTHM, RUNS, Run

from builders import make_config
from gan_exp.diagnosis.signs import HEALTHY, SIGNS


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_run_can_be_played(run: Run) -> None:
    config = make_config(*(word for word in (*RHYTHM, *run.overrides) if not word.startswith("display=")))
    assert config.steps // config.sample_every_steps >= 8  # it takes so many grids to tell


def test_each_verdict_has_its_runs() -> None:
    truths = [name for run in RUNS for name in run.truth]
    assert set(truths) == {sign.name for sign in (HEALTHY, *SIGNS)}
    assert len({directory(Path(), run, 0) for run in RUNS}) == len(RUNS) >= 30
    assert all(truths.count(name) >= 3 for name in truths)


def test_a_healthy_run_may_never_be_called_anything_else() -> None:
    healthy, other = Run("a", ("healthy",), "", ()), Run("b", ("stalled", "oscillation"), "", ())
    cases = [
        Case(healthy, 0, "healthy", 500, ()),
        Case(healthy, 1, "healthy", 900, ("stalled",)),
        Case(healthy, 2, "too early to say", 0, ()),
        Case(other, 0, "oscillation", 700, ("healthy",)),
        Case(other, 1, "healthy", 700, ("oscillation",)),
    ]
    assert [case.right for case in cases] == [True, False, False, True, False]
    assert summary(cases) == (
        "5 runs: 1 of 3 healthy ones were never called anything else, and 1 of 2 others were called what they are."
    )
    head, _, *rows = table(cases).splitlines()
    assert head == "| run | made so by | truth | seed 0 | seed 1 | seed 2 |"
    assert rows == [
        "| a |  | healthy | healthy, 500 | **healthy, stalled** | **too early to say** |",
        "| b |  | stalled or oscillation | oscillation, 700 | **healthy** |  |",
    ]


def test_only_a_run_that_has_ended_is_played(tmp_path: Path) -> None:
    run = RUNS[0]
    place = directory(tmp_path, run, 3)
    place.mkdir()
    assert not is_played(tmp_path, run, 3)
    for state, ended in (("running", False), ("interrupted", False), ("failed", True), ("finished", True)):
        (place / "status.json").write_text(json.dumps({"state": state}))
        assert is_played(tmp_path, run, 3) == ended
