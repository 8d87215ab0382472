"""A signal at any instant of the start: at most one sentence, an exit code that names it, nothing half begun."""

import random
import signal
import time
from pathlib import Path

import pytest

from crash.processes import ended, finish, start, stop, wait_for, wait_until_it_notes, words_for
from gan_exp.runs.run_dir import RunDir

ENDLESS = ("steps=10000000", "sample_every_steps=10000000", "checkpoint_every_steps=10000000")


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The time from the first instant at which signals are handled to the first step."""
    place = tmp_path_factory.mktemp("undisturbed")
    process = start(place, "train", *words_for("mlp"), *ENDLESS, "hydra.run.dir=run")
    wait_until_it_notes(process)
    began = time.perf_counter()
    wait_for(process, RunDir(place / "run").checkpoint(0))
    took = time.perf_counter() - began
    process.kill()
    ended(process)
    return took


def disturb(place: Path, number: int, after: float, sweep: bool) -> list[Path]:
    """Signal a run, or a sweep of two, `after` seconds after it began to handle signals; returns the runs it leaves."""
    where = ["-m", "--jobs", "1", "seed=1,2", "hydra.sweep.dir=sweep"] if sweep else ["hydra.run.dir=run"]
    process = start(place, "train", *words_for("mlp"), *ENDLESS, *where)
    wait_until_it_notes(process)
    done = stop(process, number, after)
    said = f"{signal.Signals(number).name} after {after:.2f} s: {done}"
    assert done.returncode == 128 + number, said
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 1, said
    runs = [path.parent for path in place.rglob("config.yaml")]
    if not runs:
        assert list(place.iterdir()) == [], said
    for run in runs:
        status = RunDir(run).read_status()
        assert (status["state"], status["reason"]) == ("interrupted", signal.Signals(number).name), said
        assert RunDir(run).list_checkpoints()[-1][0] == status["step"], said
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3, 9, 10])
def test_some_instants(seed: int, seconds: float, tmp_path: Path) -> None:
    """Of a run and of a sweep, early and late, with both signals."""
    chosen = random.Random(seed)
    number = signal.SIGTERM if seed % 2 else signal.SIGINT
    assert len(disturb(tmp_path, number, chosen.uniform(0, 1.1) * seconds, sweep=seed % 4 > 1)) <= 1


@pytest.mark.crash_long
@pytest.mark.parametrize("seed", range(50))
def test_fifty_instants(seed: int, seconds: float, tmp_path: Path) -> None:
    """The runs that are left can be resumed."""
    chosen = random.Random(100 + seed)
    number = chosen.choice([signal.SIGINT, signal.SIGTERM])
    for run in disturb(tmp_path, number, chosen.uniform(0, 1.1) * seconds, sweep=chosen.random() < 0.3):
        step = RunDir(run).read_status()["step"]
        finish(tmp_path, "resume", str(run), f"steps={step + 2}")
