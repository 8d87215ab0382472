import csv
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from builders import SMALL, refused
from fake_jobs import FakeJobs, distance_from
from forked import fork_command
from gan_exp.cli import main
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.runs.run_dir import RunDir
from gan_exp.search import session, worker
from gan_exp.sweeps import process
from searches import last_fid
from waiting import LONGEST_WAIT_S

LR = "lr=log(1e-5,1e-2)"
SEARCH = ["search", "--dir", "found", "--trials", "2", "--metric", "fid", LR]


@pytest.fixture
def fake_jobs(monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """In the place of processes that train."""
    jobs = FakeJobs(distance_from(1e-3))
    monkeypatch.setattr(process, "start", lambda job, threads=None, gpu=None: jobs(job))
    monkeypatch.setattr(worker, "POLL_S", 0.0)
    return jobs


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "fidd"], "--metric fidd: no such score; did you mean fid?"),
        (["lr=range(5,5)"], r"lr=range\(5,5\): lr is given twice"),
        (["batch_size=range(5,5)"], r"batch_size=range\(5,5\): is empty"),
        (["seed=range(0,5)"], "a seed is a repeat, not a choice: --seeds 5"),
        (["lrr=log(1,2)"], "lrr: unknown key; did you mean lr?"),
        (["model=choice(mlp,dcgn)"], "model=dcgn: no such option; did you mean dcgan?"),
        (["instance_noise=interval(-1,1)"], "instance_noise=-1.0: must be"),
        (
            ["penalty=none", "penalty.gamma=log(1,9)"],
            "penalty.gamma: unknown key; penalty=r1, r1_r2 or r1_r2_fd have it",
        ),
        (["--sampler", "tp"], "--sampler tp: there is none called tp; did you mean tpe?"),
        (["--sampler", "grid"], "--sampler grid: .*no finite number of values"),
        (["--pruner", "median(x=1)"], r"--pruner median\(x=1\): .*unexpected keyword argument 'x'"),
        (["--metric", "fid,seconds", "--pruner", "median"], "prunes by one objective"),
        (["--storage", "sqlite:////nowhere/at/all.db"], "--storage sqlite:////nowhere/at/all.db: can't be reached"),
        (["--study", "x"], "--study x: names a study in a database; name that with --storage"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
        (["--workers", "0"], "--workers 0: must be a whole number of at least 1"),
        (["--seed", "3"], "--seed"),
        (["--trust", "mine", "--metric", "mine.METRIC"], "--metric mine.METRIC: can't be imported"),
    ],
)
def test_refused_in_one_sentence(
    words: list[str], sentence: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(sentence, refused([*SEARCH, *words], capsys))
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["search", LR], "search: needs a directory; name it with --dir DIR"),
        (["search", "--dir", "found"], "found: there is no search to go on with"),
        (["search", "--dir", "found", LR], "how many trials? name the number with --trials N"),
        (["search", "--dir", "found", "--trials", "2", "lr=1e-3"], "lr=1e-3: nothing to search"),
        (["search", "--dir", "/proc/found", "--trials", "2", LR], "--dir /proc/found: can't be written"),
    ],
)
def test_something_is_missing(
    words: list[str], sentence: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(words, capsys)
    assert not Path("found").exists()


def test_optuna_is_missing(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "install it with: pip install 'gan-exp[search]'" in refused(SEARCH, capsys)


def test_a_run_is_no_place_for_a_search(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--dir run: holds a run or a sweep" in refused(["search", "--dir", "run", "--trials", "2", LR], capsys)


def test_the_same_command_goes_on_and_another_one_is_refused(
    in_tmp: Path, fake_jobs: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SEARCH) == 0
    before = Path("found/history.csv").read_text()
    sentence = refused([*SEARCH[:-1], "lr=log(1e-4,1e-2)"], capsys)
    assert "found: holds another search (searched lr=log(1e-5,1e-2) there, lr=log(1e-4,1e-2) here)" in sentence
    assert Path("found/history.csv").read_text() == before and len(fake_jobs.started) == 2
    assert main([*SEARCH, "--trials", "3"]) == 0
    assert main(["search", "--dir", "found"]) == 0  # as many as before: nothing is left to do
    assert len(fake_jobs.started) == 3


def test_what_it_prints_and_writes(in_tmp: Path, fake_jobs: FakeJobs, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "search",
        "--dir",
        "found",
        "--trials",
        "9",
        "--metric",
        "fid",
        LR,
        "batch_size=log(16,64)",
        "--sampler",
        "random",
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "written: found/history.csv, found/experiment/best.yaml\n" in printed
    assert "search: 9 trials of lr=log(1e-5,1e-2) batch_size=log(16,64) for fid (lower is better)" in printed
    assert len(re.findall(r"^trial \d+ \(lr=\S+ batch_size=\d+\): fid .*; \d of 9 done", printed, re.MULTILINE)) == 9
    assert "importance for fid: " in printed
    assert "gan-exp train -m --config-dir found experiment=best 'seed=range(100,105)'" in printed
    with Path("found/history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["batch_size"]) for row in rows} <= set(range(16, 65))  # a key that takes whole numbers gets them
    best = min(rows, key=lambda row: float(row["fid"]))
    assert f"lr: {best['lr']}" in Path("found/experiment/best.yaml").read_text()


def test_no_trial_is_complete(in_tmp: Path, fake_jobs: FakeJobs, capsys: pytest.CaptureFixture[str]) -> None:
    fake_jobs.score = lambda config, step: float("nan")
    assert main(SEARCH) == 1
    assert "no trial is complete; the causes: found/history.csv" in capsys.readouterr().out


def test_a_signal_ends_it_and_says_how_to_go_on(
    in_tmp: Path, fake_jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any) -> str:
        signal.raise_signal(signal.SIGINT)
        return "one"

    monkeypatch.setattr(session, "trial_line", interrupt)
    assert main(SEARCH) == 130
    output = capsys.readouterr()
    assert "stopped by SIGINT: 1 complete; the same command goes on" in output.out
    monkeypatch.undo()


@pytest.mark.slow
def test_a_search_whose_processes_are_killed(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the search, then the process of a run; the trial ends as if neither had happened.

    Points in the plane: their scores need no feature network, which would have to be trained.
    """
    settings = [*SMALL["points"], "dataset=ring", "dataset.count=200", "steps=1000", "checkpoint_every_steps=50"]
    words = ["search", "--dir", "found", "--trials", "1", LR, *settings, "device=cpu", "evaluate_count=100"]
    begun = fork_command(in_tmp, *words)
    wait_for_step(50)
    begun.kill()
    begun.wait(LONGEST_WAIT_S)

    start, killed = process.start, []

    def start_and_kill(job: Any, threads: int | None = None, gpu: str | None = None) -> Any:
        one = start(job, threads, gpu)
        if not killed:
            wait_for_step(job.run.list_checkpoints()[-1][0] + 50)
            one.kill()
            killed.append(job.run)
        return one

    monkeypatch.setattr(process, "start", start_and_kill)
    assert main(["search", "--dir", "found"]) == 0
    log = killed[0].log.read_text()
    steps = [int(step) for step in re.findall(r"resuming \S+ at step (\d+)", log)]
    assert len(steps) == 2 and 50 <= steps[0] < steps[1]
    with Path("found/history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete"]
    assert float(rows[0]["fid"]) == undisturbed(rows[0]["lr"], settings)


def wait_for_step(step: int) -> None:
    """Until the first trial has a checkpoint of that step, or a later one."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        for place in Path().glob("found/trials/0-*"):
            kept = RunDir(place).list_checkpoints()
            if kept and kept[-1][0] >= step:
                return
        time.sleep(0.05)


def undisturbed(lr: str, settings: list[str]) -> float:
    from gan_exp.training.session import start_run

    own = ["device=cpu", "evaluate_count=100", "evaluate_every_steps=1000", "best_metric=fid"]
    start_run(check(compose([*settings, f"lr={lr}", *own]).plain), "alone")
    return last_fid(RunDir("alone"))
