"""Follows submitted jobs from outside: what they have said, and whether the cluster still knows them."""

import getpass
import os
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from gan_exp.runs.submissions import FOLDER, Submission, read_submissions
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.sweeps.job import Outcome

POLL_S = 1.0
ASK_S = 20.0  # between two questions to Slurm, which serves everybody
LOST = "left the cluster without a word, as a job that is cancelled, or killed for memory or time"


def log_file(place: Path, submission: Submission) -> Path:
    """What the job and submitit have printed."""
    return place / FOLDER / f"{submission.job_id}_0_log.out"


def known_to_cluster(submissions: Collection[Submission]) -> set[str] | None:
    """The ids of those that wait or run; None if the cluster can't be asked."""
    local = {one.job_id for one in submissions if one.cluster == "local" and _is_alive(one.job_id)}
    if all(one.cluster == "local" for one in submissions):
        return local
    words = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return local | set(answer.stdout.split())


def _is_alive(job_id: str) -> bool:
    """Whether that process exists. Also collects a child that has ended, which would count as alive otherwise."""
    if not job_id.isdecimal():
        return False
    with suppress(OSError, OverflowError):
        os.waitpid(int(job_id), os.WNOHANG)
    try:
        os.kill(int(job_id), 0)
    except (OSError, OverflowError):
        return False
    return True


def still_there(place: Path) -> list[Submission]:
    """The jobs submitted from `place` that have not ended, as far as the cluster knows them or can't be asked."""
    open_ones = [one for one in read_submissions(place) if one.state != "ended"]
    known = known_to_cluster(open_ones) if open_ones else set()
    return [one for one in open_ones if known is None or one.job_id in known]


def outcome_of(submission: Submission) -> Outcome | None:
    """None if the job has not ended."""
    if submission.state != "ended":
        return None
    code = 1 if submission.code is None else submission.code
    return Outcome(code, submission.cause, submission.can_go_on and code != 0)


def follow(place: Path, ids: Collection[str]) -> Iterator[tuple[Submission, Outcome | None]]:
    """Each change of the jobs `ids`, until all have ended: with None while a job goes on.

    A job that the cluster has twice not known counts as lost. Raises Interrupted after a signal; the jobs go on.
    """
    waiting, states, missed, asked = set(ids), dict.fromkeys(ids, "queued"), dict.fromkeys(ids, 0), time.monotonic()
    while waiting:
        stop_if_asked()
        now = {one.job_id: one for one in read_submissions(place) if one.job_id in waiting}
        is_local = all(one.cluster == "local" for one in now.values())
        if time.monotonic() - asked >= (POLL_S if is_local else ASK_S):
            asked = time.monotonic()
            _count_missing(now, missed)
        for job_id, one in now.items():
            outcome = outcome_of(one) or (Outcome(1, LOST, can_go_on=True) if missed[job_id] > 1 else None)
            if outcome is not None:
                waiting.remove(job_id)
            if outcome is not None or one.state != states[job_id]:
                states[job_id] = one.state
                yield one, outcome
        waiting &= now.keys()
        if waiting:
            time.sleep(POLL_S / 2)


def _count_missing(now: dict[str, Submission], missed: dict[str, int]) -> None:
    known = known_to_cluster(list(now.values()))
    if known is None:
        return
    for job_id in now:
        missed[job_id] = 0 if job_id in known else missed[job_id] + 1
