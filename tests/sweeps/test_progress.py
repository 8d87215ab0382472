"""The standing of a sweep: one line for each event in a pipe, a table in a terminal."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from builders import small_config
from gan_exp.sweeps.closing import show_closing
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan
from gan_exp.sweeps.progress import Progress, best_of
from gan_exp.sweeps.trial import Trial, kind_of
from written_runs import write_run

CONFIG = small_config("mlp", "steps=100", "evaluate_every_steps=50", "best_metric=recall").model_dump(mode="json")
TRIALS = {kind_of(CONFIG): Trial(0.1, None, None)}


class Running:
    def __init__(self, job: Job) -> None:
        self.job = job


def job(number: int, step: int = 0, score: float | None = None) -> Job:
    """A job with a run in the current directory."""
    one = Job(CONFIG, f"swept/{number}", number, f"seed={number}", go_on=True)
    one.run.path.mkdir(parents=True)
    if step:
        one.run.config.write_text(json.dumps(CONFIG))
        one.run.status.write_text(json.dumps({"state": "running", "step": step}))
        line = {"step": step, "evaluation/recall_cnn": score}
        one.run.metrics.write_text("" if score is None else json.dumps(line) + "\n")
    return one


def test_lines_in_a_pipe(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(0), job(1, step=50, score=0.5), job(2, step=100, score=0.25), job(3)]
    jobs[3].run.output.touch()
    with Progress(jobs, Plan(2, 1, (), TRIALS), "auto", {}) as progress:
        for one in jobs:
            progress.started(Running(one))  # type: ignore[arg-type]
        progress.look([Running(jobs[0])])  # type: ignore[list-item]
        progress.ended(jobs[2], Outcome(0))
        progress.ended(jobs[1], Outcome(143, "interrupted by SIGTERM", can_go_on=True))
        progress.ended(jobs[3], Outcome(1, "it failed"))
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "run 0 (seed=0): run directory: swept/0",
        "run 1 (seed=1): resuming at step 50, run directory: swept/1",
        "run 2 (seed=2): resuming at step 100, run directory: swept/2",
        "run 3 (seed=3): run directory: swept/3",
        "run 2 (seed=2): finished, recall_cnn 0.25 (1 of 4 done)",
        "run 1 (seed=1): interrupted at step 50, recall_cnn 0.5 (1 of 4 done)",
    ]
    assert captured.err == "gan-exp: run 3 (seed=3): it failed; log: swept/3/output.txt\n"
    assert progress.best is not None and str(progress.best) == "recall_cnn 0.5, run 1: seed=1"  # higher is better


def shown(progress: Progress, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, legacy_windows=False)
    progress.console = console
    console.print(progress._draw())
    text: Any = console.file
    return str(text.getvalue())


@pytest.mark.parametrize("width", [100, 40])
def test_the_table_in_a_terminal(width: int, in_tmp: Path) -> None:
    jobs = [job(0, step=25), job(1, step=50, score=0.5), *(job(number) for number in range(2, 20))]
    progress = Progress(jobs, Plan(10, 1, (), TRIALS), "live", {19: Outcome(2, "refused")})
    progress.look([Running(one) for one in jobs[:10]])  # type: ignore[misc]
    progress._note_score(jobs[1])
    text = shown(progress, width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert text.startswith("sweep: 0 done, 10 running, 1 failed, 9")
    assert "best so far: recall_cnn 0.5" in text and "25/100" in text and "and 2 more" in text
    assert "Ctrl-C saves and stops" in text
    if width == 100:
        assert "waiting; 0:00:" in text  # by the timed steps: 18 runs of 11 s, ten at a time


def test_the_time_left_follows_what_it_has_taken(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    jobs = [job(number) for number in range(4)]
    progress = Progress(jobs, Plan(2, 1, (), TRIALS), "quiet", {})
    assert progress._time_left() == "0:00:22"  # four runs of 11 s
    now = 30.0
    progress.ended(jobs[0], Outcome(0))
    progress.ended(jobs[1], Outcome(0))
    assert progress._time_left() == "0:00:30"


def test_quiet_says_only_what_failed(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(0), job(1)]
    with Progress(jobs, Plan(2, 1), "quiet", {}) as progress:
        progress.started(Running(jobs[0]))  # type: ignore[arg-type]
        progress.ended(jobs[0], Outcome(0))
        progress.ended(jobs[1], Outcome(-9, "killed"))
    assert capsys.readouterr() == ("", "gan-exp: run 1 (seed=1): killed\n")


def test_the_closing_table(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job(0, step=100, score=0.5), job(1), job(2), job(3), job(4, step=50)]  # the last by an earlier command
    jobs[1].run.output.touch()
    ends = {0: Outcome(0), 1: Outcome(-9, "killed", can_go_on=True), 2: Outcome(2, "refused")}
    show_closing(jobs, ends, Path("swept"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:6] == [
        ["run", "values", "end", "best", "recall_cnn"],
        ["0", "seed=0", "finished", "0.5", "(step", "100)"],
        ["1", "seed=1", "killed:", "swept/1/output.txt"],
        ["2", "seed=2", "refused"],
        ["3", "seed=3", "not", "begun"],
        ["4", "seed=4", "interrupted"],
    ]
    assert " ".join(lines[6]) == (
        "sweep: 1 of 5 runs finished, 2 failed (1: seed=1; 2: seed=2), 1 interrupted, 1 not begun"
    )


@pytest.mark.parametrize(("metric", "best"), [("panel", (5.0, 2)), ("fid", (1.0, 4))])
def test_the_best_is_by_the_metric_that_the_run_has_chosen(metric: str, best: tuple[float, int], in_tmp: Path) -> None:
    """The job's own words may have left it to the run."""
    scores = {2: {"fid_cnn": 2.0, "panel": 5.0}, 4: {"fid_cnn": 1.0, "panel": 9.0}}
    run = write_run("run", config={"best_metric": metric, "evaluate_every_steps": 2}, scores=scores)
    found = best_of(Job({"evaluate_every_steps": 2, "best_metric": "auto"}, str(run.path)))
    assert found is not None and (found.score, found.step) == best
