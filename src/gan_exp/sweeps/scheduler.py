"""Keeps jobs going, so many at once: a place that becomes free is taken at once, and a signal stops all."""

from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from typing import Protocol

from gan_exp.runtime.signals import asked_to_stop
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan
from gan_exp.sweeps.process import JobProcess, start

LOOK_EVERY_S = 0.5  # at the signals, and at the status of the runs


class Watcher(Protocol):
    """Told of what happens, to show it."""

    def started(self, process: JobProcess) -> None: ...
    def ended(self, job: Job, outcome: Outcome) -> None: ...
    def look(self, running: Sequence[JobProcess]) -> None: ...


def run_jobs(jobs: Iterable[Job], plan: Plan, watcher: Watcher, stop_on_failure: bool = False) -> dict[int, Outcome]:
    """Train `jobs`, `plan.at_once` of them at a time; the outcomes by the jobs' numbers, without those not begun.

    After a signal, and with `stop_on_failure` after a job that failed, no other begins, and the running ones save and
    end.
    """
    waiting = iter(jobs)
    places: dict[int, JobProcess] = {}
    outcomes: dict[int, Outcome] = {}
    stopping = False
    try:
        while True:
            while not stopping and len(places) < plan.at_once and (job := next(waiting, None)) is not None:
                place = next(number for number in range(plan.at_once) if number not in places)
                gpu = plan.gpus[place % len(plan.gpus)] if plan.gpus else None
                places[place] = start(job, plan.threads(job), gpu)
                watcher.started(places[place])
                stopping = asked_to_stop() is not None
            if not places:
                return outcomes
            wait([process.sentinel for process in places.values()], timeout=LOOK_EVERY_S)
            for place, process in list(places.items()):
                if (outcome := process.poll()) is not None:
                    del places[place]
                    outcomes[process.job.number] = outcome
                    watcher.ended(process.job, outcome)
                    stopping |= stop_on_failure and outcome.failed
            stopping |= asked_to_stop() is not None
            if stopping:
                _stop(places.values())
            watcher.look(list(places.values()))
    finally:
        _stop(places.values())


def _stop(processes: Iterable[JobProcess]) -> None:
    """More than once does no harm: a job's process takes the first signal alone."""
    number = asked_to_stop()
    for process in processes:
        process.stop() if number is None else process.stop(number)
