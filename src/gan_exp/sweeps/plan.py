"""How many jobs train at once, with which threads and GPUs, and about how long the sweep takes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import mean

from gan_exp.runtime.resources import asked_threads, available_memory, usable_cores
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.process import Child
from gan_exp.sweeps.trial import KINDS, Trial, kind_of, try_steps

STARTING_S = 1.0  # what a job takes beside its steps
SHARE_OF_MEMORY = 0.8  # of what is free; the system needs some for itself
GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Plan:
    """`gpus` are the values of CUDA_VISIBLE_DEVICES for the jobs at once, empty where it stays as it is."""

    at_once: int
    most_threads: int
    gpus: Sequence[str] = ()
    trials: dict[str, Trial] = field(default_factory=dict)  # by the kind of job

    def step_seconds(self, job: Job) -> float:
        trial = self.trials.get(kind_of(job.config))
        known = [one.step_seconds for one in self.trials.values()]
        return trial.step_seconds if trial is not None else mean(known) if known else 1e-3

    def seconds(self, job: Job, steps: int) -> float:
        """About how long `steps` of the job take."""
        return STARTING_S + steps * self.step_seconds(job)

    def threads(self, job: Job) -> int | None:
        """The fastest number by the timed steps, or the job's share of the cores; None for a job that has them all."""
        trial = self.trials.get(kind_of(job.config))
        if trial is not None and trial.threads is not None:
            return trial.threads
        return self.most_threads if self.at_once > 1 else None


def make_plan(jobs: Sequence[Job], wanted: int | None, timed: bool = True) -> Plan:
    """The plan for `jobs`, of which `wanted` train at once (None: as many as fit). Times steps of a few kinds."""
    cores = usable_cores()
    on_gpus, gpus = _gpus(jobs)
    fitting = on_gpus or cores // _threads_that_are_set(jobs)
    at_once = max(1, min(wanted or fitting, len(jobs)))
    plan = Plan(at_once, max(1, cores // at_once), gpus if len(gpus) > 1 else ())
    if not timed:
        return plan
    plan.trials.update(_time_steps(jobs, plan))
    if wanted is None and not on_gpus:
        plan = _within_memory(plan)
    return plan


def _within_memory(plan: Plan) -> Plan:
    needed = max((trial.memory or 0 for trial in plan.trials.values()), default=0)
    available = available_memory()
    if needed == 0 or available is None:
        return plan
    fitting = max(1, int(SHARE_OF_MEMORY * available / needed))
    return Plan(min(plan.at_once, fitting), plan.most_threads, plan.gpus, plan.trials)


def _time_steps(jobs: Sequence[Job], plan: Plan) -> dict[str, Trial]:
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(kind_of(job.config), job)
    found: dict[str, Trial] = {}
    for kind, job in list(first.items())[:KINDS]:
        child = Child(partial(try_steps, job, plan.most_threads), plan.gpus[0] if plan.gpus else None)
        while not child.has_ended(timeout=0.5):
            stop_if_asked()
        if child.result is not None:
            found[kind] = child.result
    return found


def _threads_that_are_set(jobs: Sequence[Job]) -> int:
    """The most that a job takes by its configuration or OMP_NUM_THREADS."""
    usual = asked_threads() or 1
    return max([1, *(job.config["device"]["threads"] or usual for job in jobs)])


def _gpus(jobs: Sequence[Job]) -> tuple[int, tuple[str, ...]]:
    """How many GPUs the jobs can use, 0 on the CPU; and those to choose from for each job.

    There is no choice where jobs name a GPU's number, which counts all that are visible.
    """
    devices = [job.config["device"] for job in jobs]
    names = {device["name"] for device in devices}
    if names == {"cpu"} or not names:
        return 0, ()
    import torch

    if not torch.cuda.is_available():
        return int(torch.backends.mps.is_available()), ()
    if any(device["index"] for device in devices):
        return len({device["index"] for device in devices}), ()
    visible = [one for one in os.environ.get(GPU_VARIABLE, "").split(",") if one]
    found = tuple(visible or map(str, range(torch.cuda.device_count())))
    return len(found), found
