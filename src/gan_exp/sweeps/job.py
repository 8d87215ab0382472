"""One job: a checked configuration and the directory of its run, and how it is trained in this process.

A job is plain data, so it can be pickled to another process, or written down and trained on another machine.
"""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gan_exp.config.check import check
from gan_exp.config.targets import trusting
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.resources import asked_threads
from gan_exp.runtime.signals import Interrupted, stop_if_asked
from gan_exp.runtime.terminal import report

PATIENCE_S = 60.0  # until another process that trains the run must have ended


@dataclass(frozen=True)
class Job:
    """What is trained, where, and how it is called.

    `config` is the plain form of a checked configuration: `check(...).model_dump(mode="json")`. `label` distinguishes
    the job within its sweep (lr=0.001,seed=2). `words` made the configuration; the run's environment.json keeps them.
    `trusted` are the user's own modules that the configuration may name (`--trust`). With `go_on` a run that the
    directory holds already is continued, or left as it is if it has finished; without, it is refused.
    """

    config: dict[str, Any]
    directory: str
    number: int = 0
    label: str = ""
    words: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    go_on: bool = False

    def __str__(self) -> str:
        return f"{self.number}: {self.label}" if self.label else str(self.number)

    @property
    def title(self) -> str:
        """What begins the lines about it."""
        return f"run {self.number}{f' ({self.label})' if self.label else ''}"

    @property
    def run(self) -> RunDir:
        return RunDir(self.directory)

    @property
    def step(self) -> int:
        """Of its run, by that run's status."""
        step = self.run.read_status().get("step", 0)
        return step if isinstance(step, int) else 0

    @property
    def steps_left(self) -> int:
        return max(0, int(self.config["steps"]) - (self.step if self.go_on else 0))

    def with_threads(self, threads: int) -> "Job":
        """The job with a number of CPU threads, unless its configuration or OMP_NUM_THREADS sets one."""
        device = self.config["device"]
        if device["threads"] is not None or asked_threads() is not None:
            return self
        return replace(self, config={**self.config, "device": {**device, "threads": threads}})


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    `code` is 0 if the run has finished, 1 if it failed, 2 if it was refused, 128 + n if signal n interrupted it, and -n
    if signal n killed its process (-9: perhaps for memory). `cause` is one sentence, "" if it has finished.
    `can_go_on`: training the same job again with `go_on` would do something about it.
    """

    code: int
    cause: str = ""
    can_go_on: bool = False

    @property
    def finished(self) -> bool:
        return self.code == 0

    @property
    def failed(self) -> bool:
        """It ended by itself or was killed, and not because somebody asked it to stop."""
        return self.code < 0 or self.code in (1, 2)


def train(job: Job) -> Outcome:
    """Train `job` in this process and return how it ended; prints what a run prints, and the traceback of a fault.

    Call it within `recording_signals`, so that a signal makes a checkpoint. Raises nothing that a run can cause.
    """
    from gan_exp.diagnosis.divergence import Divergence

    try:
        with trusting(job.trusted):
            _start_or_go_on(job)
    except (UserError, TrainingFault) as error:
        code = 1 if isinstance(error, TrainingFault) else 2
        if code == 1 and error.__cause__ is not None and not isinstance(error.__cause__, TrainingFault):
            traceback.print_exception(error.__cause__)
        report(str(error))
        return Outcome(
            code, str(error), can_go_on=code == 1 and not isinstance(error, Divergence)
        )  # it would diverge again
    except Interrupted as interruption:
        return Outcome(interruption.exit_code, f"interrupted by {interruption}", can_go_on=interruption.reported)
    except Exception as error:  # before the run began: the session explains all that happens later
        traceback.print_exception(error)
        cause = f"{type(error).__name__}: {error}"
        report(cause)
        return Outcome(1, cause, can_go_on=True)
    return Outcome(0)


def _start_or_go_on(job: Job) -> None:
    from gan_exp.training.session import start_run
    from gan_exp.training.start_or_continue import start_or_continue

    stop_if_asked()
    refuse_multiple_processes("a job")
    refuse_processes(job.config)
    config = check(job.config)
    if job.go_on:
        _wait_until_free(job.run)
    (start_or_continue if job.go_on else start_run)(config, job.directory, in_sweep=True, command=job.words)


def refuse_processes(config: Mapping[str, Any]) -> None:
    """Raises UserError for a configuration whose run would start processes: a job is one."""
    processes = config["device"].get("processes") or 1
    if processes > 1:
        raise UserError(
            f"device.processes={processes}: each run of a sweep, a search or --slurm trains in one process; set "
            f"device.processes=1 (on a cluster, srun starts several: srun --ntasks={processes} gan-exp train ...)"
        )


def _wait_until_free(run: RunDir) -> None:
    """A process that trains the run may be saving it, such as that of a sweep whose own process was just killed."""
    until = time.monotonic() + PATIENCE_S
    while run.config.exists() and run.is_locked() and time.monotonic() < until:
        stop_if_asked()
        time.sleep(0.1)
