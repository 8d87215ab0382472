"""Submitted jobs seen from outside: their own words, and what Slurm knows."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_exp.runs.submissions import FOLDER, Submission, write_submissions, write_word
from gan_exp.runtime.signals import Interrupted, recording_signals
from gan_exp.sweeps.job import Outcome
from gan_exp.sweeps.slurm import follow
from gan_exp.sweeps.slurm.follow import known_to_cluster, still_there


def submission(number: int, cluster: str = "slurm") -> Submission:
    return Submission(f"7_{number}", number, f"seed={number}", f"swept/{number}", 0.0, cluster)


@pytest.fixture
def place(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a sweep with three jobs; nothing waits."""
    monkeypatch.setattr(follow, "POLL_S", 0.0)
    monkeypatch.setattr(follow, "ASK_S", 0.0)
    write_submissions(Path("swept"), [submission(number) for number in range(3)])
    return Path("swept")


@pytest.fixture
def squeue(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", f"{in_tmp}:/usr/bin:/bin")

    def install(lines: str) -> None:
        (in_tmp / "squeue").write_text(f"#!/bin/sh\n{lines}\n")
        (in_tmp / "squeue").chmod(0o755)

    return install


def test_what_slurm_knows(place: Path, squeue: Callable[[str], None]) -> None:
    squeue('case "$*" in *--array*--user=*--format=%i) echo 7_0; echo 9;; esac')
    write_word(place / FOLDER, "7_1", "ended", code=0)
    assert [one.number for one in still_there(place)] == [0]
    assert known_to_cluster([submission(0)]) == {"7_0", "9"}


def test_slurm_that_does_not_answer(place: Path, squeue: Callable[[str], None]) -> None:
    """Nothing is taken for lost then."""
    squeue("exit 1")
    assert known_to_cluster([submission(0)]) is None
    assert [one.number for one in still_there(place)] == [0, 1, 2]


def test_processes_of_this_machine() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    here = [
        Submission(job_id, 0, "", "", 0.0, "local") for job_id in (str(os.getpid()), str(child.pid), "7_0", "9" * 30)
    ]
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert known_to_cluster(here) == {str(os.getpid())}
    child.wait()


def test_each_change_is_told_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([{"7_0", "7_1", "7_2"}, {"7_1"}, {"7_0", "7_1"}, {"7_1"}, {"7_1"}, {"7_1"}])
    monkeypatch.setattr(follow, "known_to_cluster", lambda _: next(answers))
    write_word(place / FOLDER, "7_0", "running")
    write_word(place / FOLDER, "7_2", "ended", code=1, cause="NaN", can_go_on=False)
    told = []
    for one, outcome in follow.follow(place, ["7_0", "7_1", "7_2"]):
        told.append((one.number, one.state, outcome))
        if outcome == Outcome(1, follow.LOST, can_go_on=True):  # of 7_0, which Slurm has twice not known
            write_word(place / FOLDER, "7_1", "ended", code=0)
    assert told == [
        (0, "running", None),
        (2, "ended", Outcome(1, "NaN")),
        (0, "running", Outcome(1, follow.LOST, can_go_on=True)),
        (1, "ended", Outcome(0)),
    ]


def test_a_signal_ends_the_wait(place: Path) -> None:
    with recording_signals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            next(follow.follow(place, ["7_0"]))
