"""Jobs that train nothing: each look at one finds another evaluation, whose score a function makes up, then its end."""

import json
import math
from collections.abc import Callable
from typing import Any

from gan_exp.runs.run_dir import RunDir
from gan_exp.sweeps.job import Job, Outcome

Score = Callable[[dict[str, Any], int], float]  # of the configuration and the step


def distance_from(best: float) -> Score:
    """Lower is better: how far lr lies from `best` in powers of ten; it halves with each evaluation."""
    return lambda config, step: abs(math.log10(config["lr"]) - math.log10(best)) * (1 + 1 / step)


class FakeJob:
    """In the place of `sweeps.process.JobProcess`. `ends` are the outcomes before the one that finishes."""

    def __init__(self, job: Job, score: Score, ends: list[Outcome]) -> None:
        self.job, self._score, self._ends = job, score, ends
        self.outcome: Outcome | None = None
        self.stopped = False

    def poll(self) -> Outcome | None:
        if self.outcome is None:
            self.outcome = self._advance()
        return self.outcome

    def _advance(self) -> Outcome | None:
        if self.stopped:
            return Outcome(143, "interrupted by SIGTERM", can_go_on=True)
        if self._ends:
            return self._ends.pop(0)
        steps, every = self.job.config["steps"], self.job.config["evaluate_every_steps"]
        run = self.job.run
        if last_step(run) == steps:
            return Outcome(0)
        step = min(steps, last_step(run) + every)
        value = self._score(self.job.config, step)
        run.path.mkdir(parents=True, exist_ok=True)
        with run.metrics.open("a") as file:
            score = {"evaluation/fid_cnn": value if math.isfinite(value) else None}
            seconds = {"progress/kimg": step / 1000, "progress/images_per_sec": 10.0}
            file.write(json.dumps({"step": step, **seconds}) + "\n" + json.dumps({"step": step, **score}) + "\n")
        return None

    def stop(self) -> None:
        self.stopped = True


class FakeJobs:
    """Starts them; `started` are their jobs. `ends` are outcomes by the number of the start, from 0."""

    def __init__(self, score: Score, ends: dict[int, list[Outcome]] | None = None) -> None:
        self.score, self.ends = score, ends or {}
        self.started: list[Job] = []
        self.processes: list[FakeJob] = []

    def __call__(self, job: Job) -> FakeJob:
        self.started.append(job)
        self.processes.append(FakeJob(job, self.score, list(self.ends.get(len(self.started) - 1, []))))
        return self.processes[-1]


def last_step(run: RunDir) -> int:
    if not run.metrics.exists():
        return 0
    return max(json.loads(line)["step"] for line in run.metrics.read_text().splitlines())
