"""A sweep: from the words that Hydra hands over to its jobs, and their training on this machine."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gan_exp.config.own_images import told
from gan_exp.config.targets import trusted_modules
from gan_exp.display.plain import time_left
from gan_exp.runs.run_names import is_sweep
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.signals import before_forced_exit, stop_if_asked
from gan_exp.runtime.terminal import report, say
from gan_exp.runtime.words import plural
from gan_exp.sweeps.begun import Runs, finished_sentence, going_on, read_runs, threads_found
from gan_exp.sweeps.compose import compose_jobs
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan, make_plan
from gan_exp.sweeps.progress import Progress
from gan_exp.sweeps.record import read_record, write_record
from gan_exp.sweeps.scheduler import run_jobs
from gan_exp.sweeps.trial import kind_of
from gan_exp.sweeps.words import Choices, Expansion, jobs_of, size

MANY = 100  # runs, whose configurations take some seconds to read


@dataclass
class Sweep:
    """`outcomes` are those so far, by the jobs' numbers: those of refused and finished jobs are known at once."""

    directory: Path
    size: str  # in words
    jobs: list[Job]
    runs: Runs  # that have begun
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def open_jobs(self) -> list[Job]:
        """Those that are still to train."""
        return [job for job in self.jobs if job.number not in self.outcomes]

    @property
    def display(self) -> str:
        return next((str(job.config["display"]) for job in self.jobs if job.config), "auto")


def compose_sweep(
    loader: Any, master: Any, words: Sequence[str], choices: Choices, constants: set[str], options: Sequence[str] = ()
) -> Sweep:
    """The sweep over `words`, whose record is written if there is anything to train.

    `loader` and `master` are Hydra's. `constants` receives the keys with one value in the sweep, which the names of the
    runs leave out. `options` go before the words in each run's record.
    """
    directory = Path(master.hydra.sweep.dir)
    newest = Expansion(tuple(words), choices.linked)
    before = read_record(directory).expansions if choices.may_continue and is_sweep(directory) else []
    expansions = [*before, *([newest] if newest not in before else [])]
    lists = list(dict.fromkeys(tuple(job) for one in expansions for job in jobs_of(one, loader)))
    constants |= _constants(lists)
    if len(lists) >= MANY:
        say(f"sweep: reading the configurations of {len(lists):,} runs")
    composed = compose_jobs(loader, master, lists, constants, options, trusted_modules())
    runs = read_runs(directory) if choices.may_continue else ()
    sweep = Sweep(
        directory, size(newest, loader) if not before else plural(len(composed.jobs), "run"), composed.jobs, runs
    )
    sweep.outcomes.update(composed.refused)
    if choices.may_continue:
        sweep.jobs = [job if job.number in sweep.outcomes else going_on(job, runs) for job in sweep.jobs]
    if sweep.open_jobs:
        from omegaconf import OmegaConf

        write_record(directory, OmegaConf.to_yaml(master), expansions)
    return sweep


def _constants(lists: Sequence[Sequence[str]]) -> set[str]:
    """The keys that have the same word in every job."""
    everywhere = set(lists[0]).intersection(*lists[1:]) if lists else set()
    return {word.partition("=")[0] for word in everywhere}


def note_ended(sweep: Sweep) -> None:
    """Tell of the jobs that are refused or have finished, and note the outcomes of the latter."""
    for job in sweep.jobs:
        if job.number in sweep.outcomes:
            report(f"{job.title}: {sweep.outcomes[job.number].cause}")
        elif (sentence := finished_sentence(job)) is not None:
            sweep.outcomes[job.number] = Outcome(0)
            if sweep.display != "quiet":
                say(sentence)


def train_sweep(sweep: Sweep, choices: Choices) -> None:
    """Train the sweep's open jobs on this machine, and note their outcomes in it."""
    note_ended(sweep)
    refused = any(outcome.failed for outcome in sweep.outcomes.values())
    if not sweep.open_jobs or (refused and choices.stop_on_failure):
        return
    stop_if_asked()
    plan = make_plan(sweep.open_jobs, choices.at_once)
    found = threads_found(sweep.runs)
    jobs = [_with_threads(job, found) for job in sweep.open_jobs]
    if sweep.display != "quiet":
        say(_announcement(sweep, plan))
        for line in _chosen(sweep.open_jobs):
            say(line)
    progress = Progress(sweep.jobs, plan, sweep.display, sweep.outcomes)
    with progress, before_forced_exit(partial(_leave_at_once, sweep, progress)):
        sweep.outcomes.update(run_jobs(jobs, plan, progress, choices.stop_on_failure))


def _leave_at_once(sweep: Sweep, progress: Progress, found: signal.Signals) -> None:
    """After a second signal."""
    progress.stop()
    report(f"ended at once by {found.name}; for the rest: gan-exp resume {path_from_here(sweep.directory)}")


def _with_threads(job: Job, found: dict[str, int]) -> Job:
    threads = found.get(kind_of(job.config))
    return job if threads is None else job.with_threads(threads)


def _chosen(jobs: Sequence[Job]) -> list[str]:
    """What was chosen for a folder of images, in all of the runs; each tells its own."""
    first, *others = [job.config.get("chosen", ()) for job in jobs]
    return told([line for line in first if all(line in lines for lines in others)])


def _announcement(sweep: Sweep, plan: Plan) -> str:
    jobs = sweep.open_jobs
    seconds = sum(plan.seconds(job, job.steps_left) for job in jobs) / plan.at_once
    left = f", {len(jobs)} of them still to train" if len(jobs) < len(sweep.jobs) else ""
    at_once = "one after the other" if plan.at_once == 1 else f"{plan.at_once} at a time"
    threads = {plan.threads(job) for job in jobs}
    share = f" with {plural(count, 'CPU thread')} each" if len(threads) == 1 and (count := threads.pop()) else ""
    gpus = f" on GPUs {', '.join(plan.gpus)}" if plan.gpus else ""
    about = f"about {time_left(round(seconds), 1.0)}" if plan.trials else "no estimate of the time"
    return f"sweep: {sweep.size}{left}; {at_once}{share}{gpus}; {about}; in {path_from_here(sweep.directory)}"
