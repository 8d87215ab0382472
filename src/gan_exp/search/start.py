"""Starts the runs of trials: each in a process of its own, with its share of the CPU's cores, and one GPU."""

from dataclasses import replace

from gan_exp.search.trial import Setting, trial_config
from gan_exp.sweeps import process
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.plan import Plan, make_plan
from gan_exp.sweeps.process import JobProcess


class Starter:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._running: list[tuple[JobProcess, str | None]] = []  # and the GPU of each

    def __call__(self, job: Job) -> JobProcess:
        self._running = [(one, gpu) for one, gpu in self._running if one.poll() is None]
        used = [gpu for _, gpu in self._running]
        gpu = min(self._plan.gpus, key=used.count) if self._plan.gpus else None
        started = process.start(job, self._plan.threads(job), gpu)
        self._running.append((started, gpu))
        return started


def with_starter(setting: Setting, workers: int) -> Setting:
    """The setting whose runs are started for `workers` trials at a time."""
    space = setting.question.space
    words = space.words({parameter.name: parameter.ends()[0] for parameter in space.parameters})
    job = Job(trial_config(setting, words)[0].model_dump(mode="json"), "")
    return replace(setting, start=Starter(make_plan([job] * workers, workers, timed=False)))
