"""`--slurm` of train and resume: hand jobs to a cluster, say how to follow them, and with --wait stay until the end."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gan_exp.errors import UserError
from gan_exp.runs.submissions import FOLDER, Submission
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.signals import Interrupted
from gan_exp.runtime.terminal import say
from gan_exp.sweeps.job import Job, Outcome


class Cluster(NamedTuple):
    """What the words of the command line say about the cluster."""

    file: str | None  # with settings
    words: list[str]  # slurm.KEY=VALUE
    wait: bool


def take_cluster(arguments: Sequence[str]) -> tuple[list[str], Cluster | None]:
    """The other words, and what --slurm, --wait and slurm.KEY=VALUE say; None without --slurm.

    Raises UserError if the settings can't be read, or where there is no cluster: before anything else happens.
    """
    file, chosen, wait = None, False, False
    others, words = [], []
    for word in arguments:
        option, separator, value = word.partition("=")
        if option == "--slurm":
            chosen = True
            file = value or file
            if separator and not value:
                raise UserError("--slurm=: needs a YAML file of the keys slurm.*, or no `=`")
        elif word == "--wait":
            wait = True
        elif word.startswith("slurm."):
            words.append(word)
        else:
            others.append(word)
    if not chosen:
        for word in [*words, *(["--wait"] if wait else [])]:
            raise UserError(f"{word}: says how a cluster trains; it needs --slurm")
        return others, None
    cluster = Cluster(file, words, wait)
    _check(cluster)
    return others, cluster


def _check(cluster: Cluster) -> None:
    from gan_exp.sweeps.slurm.settings import read_settings
    from gan_exp.sweeps.slurm.submit import refuse_without_cluster

    refuse_without_cluster(read_settings(cluster.words, cluster.file))


def hand_over(jobs: Sequence[Job], place: Path, cluster: Cluster) -> int:
    """Submit `jobs` for the sweep or the run in `place`; the exit code, with --wait the worst of theirs."""
    from gan_exp.sweeps.slurm.settings import read_settings
    from gan_exp.sweeps.slurm.submit import submit

    jobs = _missing(jobs, place)
    if not jobs:
        return 0
    submissions = submit(jobs, place, read_settings(cluster.words, cluster.file))
    shown = path_from_here(place)
    say(f"submitted {_count(len(submissions))} to {_whom(submissions)}: {_ids(submissions)}")
    say(f"directory: {shown}, logs: {shown}/{FOLDER}/")
    ways = [f"gan-exp runs {shown}", f"gan-exp resume {shown} --slurm"]
    meant = ["how they go", "submits again what was lost"]
    if submissions[0].cluster == "slurm":
        ways.append(f"scancel {' '.join(_bases(submissions))}")
        meant.append("ends them; with --signal=INT each saves a checkpoint first")
    width = max(map(len, ways))
    say("\n".join(["next:", *(f"  {way:<{width}}  {text}" for way, text in zip(ways, meant, strict=True))]))
    return _wait(place, submissions) if cluster.wait else 0


def _missing(jobs: Sequence[Job], place: Path) -> list[Job]:
    """Those that have neither finished nor are on the cluster still; says how many are left out."""
    from gan_exp.sweeps.slurm.follow import still_there

    there = {str(Path(one.directory).resolve()) for one in still_there(place)}
    finished = [job for job in jobs if _is_finished(job)]
    waiting = [job for job in jobs if job not in finished and str(Path(job.directory).resolve()) in there]
    missing = [job for job in jobs if job not in finished and job not in waiting]
    if finished or waiting:
        say(f"{len(finished)} of {_count(len(jobs))} finished, {len(waiting)} queued or running on the cluster")
    return missing


def _is_finished(job: Job) -> bool:
    status = job.run.read_status()
    return status.get("state") == "finished" and int(status.get("step", 0)) >= job.config["steps"]


def _wait(place: Path, submissions: Sequence[Submission]) -> int:
    """Report each job that begins or ends, then all that did not finish."""
    from gan_exp.sweeps.slurm.follow import follow, log_file

    outcomes: dict[str, Outcome] = {}
    try:
        for one, outcome in follow(place, [one.job_id for one in submissions]):
            if outcome is None:
                say(f"job {one}: {one.state}{f' ({one.note})' if one.note else ''}")
                continue
            outcomes[one.job_id] = outcome
            end = "finished" if outcome.finished else f"{outcome.cause} (log: {path_from_here(log_file(place, one))})"
            say(f"job {one}: {end}")
    except Interrupted:
        say(f"the jobs go on; gan-exp runs {path_from_here(place)} shows how")
        raise
    finished = sum(outcome.finished for outcome in outcomes.values())
    again = any(outcome.can_go_on for outcome in outcomes.values())
    rest = f"; for the rest: gan-exp resume {path_from_here(place)} --slurm" if again else ""
    say(f"{finished} of {_count(len(submissions))} finished{rest}")
    return max((outcome.code if outcome.code in (0, 2) else 1 for outcome in outcomes.values()), default=0)


def _count(number: int) -> str:
    return f"{number} job{'s' * (number != 1)}"


def _whom(submissions: Sequence[Submission]) -> str:
    return "Slurm" if submissions[0].cluster == "slurm" else "this machine, through submitit"


def _ids(submissions: Sequence[Submission]) -> str:
    ids = [one.job_id for one in submissions]
    return ", ".join(ids) if len(ids) < 4 else f"{ids[0]} to {ids[-1]}"


def _bases(submissions: Sequence[Submission]) -> list[str]:
    """The ids of whole arrays."""
    return [shlex.quote(base) for base in dict.fromkeys(one.job_id.partition("_")[0] for one in submissions)]
