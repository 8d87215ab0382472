"""`--slurm` of train and resume: hand jobs to a cluster, say how to follow them, and with --wait stay until the end."""

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gan_exp.errors import UserError
from gan_exp.runs.submissions import FOLDER, Submission, read_submissions
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.signals import Interrupted
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural
from gan_exp.sweeps.job import Job, Outcome, refuse_processes

if TYPE_CHECKING:
    from gan_exp.sweeps.slurm.settings import SlurmSettings
    from gan_exp.sweeps.sweep import Sweep
    from gan_exp.sweeps.words import Choices


class Cluster(NamedTuple):
    """What the words of the command line say about the cluster."""

    file: str | None  # with settings
    words: list[str]  # slurm.KEY=VALUE
    wait: bool
    at_once: int | None = None  # jobs


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
        elif option == "--wait":
            wait = True
            if separator:
                raise UserError(f"{word}: --wait takes no value")
        elif word.startswith("slurm."):
            words.append(word)
        else:
            others.append(word)
    for before, word in pairwise(arguments):
        if before == "--slurm" and word.endswith((".yaml", ".yml")) and "=" not in word:
            raise UserError(f"--slurm {word}: is written --slurm={word}")
    if not chosen:
        for word in [*words, *(["--wait"] if wait else [])]:
            raise UserError(f"{word}: says how a cluster trains; it needs --slurm")
        return others, None
    from gan_exp.sweeps.slurm.submit import refuse_without_cluster

    cluster = Cluster(file, words, wait)
    refuse_without_cluster(_settings(cluster))
    return others, cluster


def with_choices(cluster: Cluster, choices: "Choices") -> Cluster:
    """With --jobs N at most N jobs run at the same time. Raises UserError for a choice that a cluster can't keep."""
    if choices.stop_on_failure:
        raise UserError("--on-failure stop: the jobs of a cluster don't wait for each other; leave it out with --slurm")
    return cluster if choices.at_once is None else cluster._replace(at_once=choices.at_once)


def _settings(cluster: Cluster) -> "SlurmSettings":
    from gan_exp.sweeps.slurm.settings import read_settings

    settings = read_settings(cluster.words, cluster.file)
    return settings if cluster.at_once is None else settings.model_copy(update={"at_once": cluster.at_once})


def refuse_if_on_cluster(place: Path) -> None:
    """Raises UserError if jobs of the sweep or run in `place` are on the cluster: they would be trained twice."""
    from gan_exp.sweeps.slurm.follow import known_to_cluster

    open_ones = [one for one in read_submissions(place) if one.state != "ended"]
    known = (open_ones and known_to_cluster(open_ones)) or ()  # elsewhere the cluster can't be asked
    there = [one for one in open_ones if one.job_id in known]
    if there:
        raise UserError(
            f"{path_from_here(place)}: {_count(len(there))} of it queued or running on the cluster still "
            f"({_ids(there)}); end them first (scancel), or resume it with --slurm"
        )


def submit_run(job: Job, cluster: Cluster) -> int:
    """Submit a single run; the exit code, with --wait that of the run."""
    refuse_processes(job.config)
    place = Path(job.directory)
    if _is_finished(job):
        say(f"{path_from_here(place)} is finished ({plural(job.run.read_status()['step'], 'step')})")
        return 0
    outcome = _hand_over([job], place, cluster).get(job.number, Outcome(0))
    return outcome.code if outcome.code in (0, 2) else 1


def submit_sweep(sweep: "Sweep", cluster: Cluster) -> None:
    """Submit the jobs of `sweep` that are still to train; with --wait their outcomes are noted in it."""
    from gan_exp.sweeps.sweep import note_ended

    note_ended(sweep)
    if sweep.open_jobs:
        sweep.outcomes.update(_hand_over(sweep.open_jobs, sweep.directory, cluster))


def _hand_over(jobs: Sequence[Job], place: Path, cluster: Cluster) -> dict[int, Outcome]:
    """Submit those of `jobs` that the cluster does not have still; with --wait the outcomes of all by their numbers."""
    from gan_exp.sweeps.slurm.follow import still_there
    from gan_exp.sweeps.slurm.submit import submit

    waiting = {Path(one.directory).resolve(): one for one in still_there(place)}
    missing = [job for job in jobs if Path(job.directory).resolve() not in waiting]
    here = {Path(job.directory).resolve() for job in jobs}
    submissions = [one for directory, one in waiting.items() if directory in here]
    if submissions:
        say(f"{_count(len(submissions))} queued or running on the cluster still: {_ids(submissions)}")
    if missing:
        new = submit(missing, place, _settings(cluster))
        _say_what_next(new, place, cluster)
        submissions += new
    return _wait(place, submissions) if cluster.wait else {}


def _say_what_next(submissions: Sequence[Submission], place: Path, cluster: Cluster) -> None:
    shown = path_from_here(place)
    say(f"submitted {_count(len(submissions))} to {_whom(submissions)}: {_ids(submissions)}")
    say(f"directory: {shown}, logs: {shown}/{FOLDER}/")
    same = shlex.join([f"--slurm={cluster.file}" if cluster.file else "--slurm", *cluster.words])
    ways = [f"gan-exp runs {shown}", f"gan-exp resume {shown} {same}"]
    meant = ["how they go", "submits again what was lost"]
    if submissions[0].cluster == "slurm":
        ways.append(f"scancel {' '.join(_bases(submissions))}")
        meant.append("ends them; with --signal=INT each saves a checkpoint first")
    width = max(map(len, ways))
    say("\n".join(["next:", *(f"  {way:<{width}}  {text}" for way, text in zip(ways, meant, strict=True))]))


def _wait(place: Path, submissions: Sequence[Submission]) -> dict[int, Outcome]:
    """Report each job that begins or ends, until all have ended."""
    from gan_exp.sweeps.slurm.follow import follow, log_file

    outcomes: dict[int, Outcome] = {}
    try:
        for one, outcome in follow(place, [one.job_id for one in submissions]):
            name = f"run {one.number} ({one.label})" if one.label else path_from_here(Path(one.directory))
            if outcome is None:
                say(f"{name}: {one.state}{f' ({one.note})' if one.note else ''}")
                continue
            outcomes[one.number] = outcome
            end = "finished" if outcome.finished else f"{outcome.cause} (log: {path_from_here(log_file(place, one))})"
            say(f"{name}: {end}")
    except Interrupted as interruption:
        say(f"the jobs go on; gan-exp runs {path_from_here(place)} shows how")
        raise Interrupted(interruption.signal, reported=True) from None
    return outcomes


def _is_finished(job: Job) -> bool:
    status = job.run.read_status()
    return status.get("state") == "finished" and int(status.get("step", 0)) >= job.config["steps"]


def _count(number: int) -> str:
    return plural(number, "job")


def _whom(submissions: Sequence[Submission]) -> str:
    return "Slurm" if submissions[0].cluster == "slurm" else "this machine, through submitit"


def _ids(submissions: Sequence[Submission]) -> str:
    ids = [one.job_id for one in submissions]
    return ", ".join(ids) if len(ids) < 4 else f"{ids[0]} to {ids[-1]}"


def _bases(submissions: Sequence[Submission]) -> list[str]:
    """The ids of whole arrays."""
    return [shlex.quote(base) for base in dict.fromkeys(one.job_id.partition("_")[0] for one in submissions)]
