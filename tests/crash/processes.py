"""Real processes of the command line, stopped from outside."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from builders import SMALL
from crash import driver
from forked import Forked
from gan_exp.runs.run_dir import RunDir
from waiting import LONGEST_WAIT_S

# Intervals at which logging, grids and checkpoints come at different steps.
RHYTHM = ("log_every_steps=2", "sample_every_steps=3", "checkpoint_every_steps=3", "grid_rows=2", "grid_columns=2")
QUIET = ("device=cpu", "display=quiet")


def words_for(model: str, *overrides: str, steps: int = 8) -> list[str]:
    """The words that train a run with narrow networks."""
    return [*SMALL[model], "latent_dim=8", "batch_size=16", f"steps={steps}", *RHYTHM, *QUIET, *overrides]


def start(place: Path, *words: str, through: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start `gan-exp words` in `place`, without the signals of this terminal."""
    command = [*through, sys.executable, "-m", "gan_exp", *words]
    place.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True, preexec_fn=_heed_signals,
    )  # fmt: skip


def _heed_signals() -> None:
    """Undo ignored signals (nohup, a script's background job), which a child would inherit."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def ended(process: subprocess.Popen[str] | Forked, limit: float = LONGEST_WAIT_S) -> subprocess.CompletedProcess[str]:
    """The exit code and the output; a process that hangs is killed, which is a failure."""
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=limit)
        raise
    return subprocess.CompletedProcess([], process.returncode, out, err)


def begin_or_go_on(place: Path, words: Sequence[str]) -> list[str]:
    """The command that begins or resumes the run, wherever it stopped."""
    begun = RunDir(place / "run").config.exists()
    return ["resume", "run"] if begun else ["train", *words, "hydra.run.dir=run"]


def finish(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run to a successful end."""
    done = ended(start(place, *words))
    assert done.returncode == 0, (words, done.stderr)
    return done


def stop(process: subprocess.Popen[str], number: int, after: float) -> subprocess.CompletedProcess[str]:
    """Signal the process `after` seconds, if it still runs."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    return ended(process)


def wait_until_it_notes(process: subprocess.Popen[str]) -> None:
    """Wait until the command handles signals, which it does before it imports anything heavy."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():  # not Linux
        time.sleep(0.5)
        return
    while True:
        caught = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def wait_for(process: subprocess.Popen[str] | Forked, path: Path) -> None:
    """Wait until the process has created `path`."""
    while not path.exists():
        assert process.poll() is None, ended(process)
        time.sleep(0.002)


def train_whole(place: Path, words: Sequence[str]) -> float:
    """Train `place`/whole without a stop; returns the seconds before its loop."""
    began = time.perf_counter()
    finish(place, "train", *words, "hydra.run.dir=whole")
    took: float = time.perf_counter() - began - RunDir(place / "whole").read_status()["train_seconds"]
    return took


def train_killed(place: Path, words: Sequence[str], kills: int, seed: int, startup: float) -> None:
    """Train `place`/run to its end, killed at random instants and resumed each time.

    One in four comes while the process still starts, the others after a checkpoint of their own choice.
    """
    chosen = random.Random(seed)
    steps = next(int(word.removeprefix("steps=")) for word in words if word.startswith("steps="))
    run = RunDir(place / "run")
    for _ in range(kills):
        done = newest(run)
        process = start(place, *begin_or_go_on(place, words))
        if chosen.random() < 0.25:
            after = chosen.uniform(0.05, 0.4) * startup
        else:
            target = chosen.uniform(done, done + 0.4 * (steps - done))
            while newest(run) <= target:
                assert process.poll() is None, process.communicate()
                time.sleep(0.002)
            after = chosen.uniform(0, 0.1)
        assert stop(process, signal.SIGKILL, after).returncode == -signal.SIGKILL
    finish(place, *begin_or_go_on(place, words))


def newest(run: RunDir) -> int:
    return max((step for step, _ in run.list_checkpoints()), default=0)


def explore(
    place: Path, words: Sequence[str], *options: str, limit: float = LONGEST_WAIT_S
) -> subprocess.CompletedProcess[str]:
    """Run `crash.driver` in an empty directory."""

    def act() -> int:
        sys.argv = ["driver", str(place), *options, "--", *words]
        driver.main()
        return 0

    return ended(Forked(act, place, environment()), limit)
