"""One trial: its runs, one for each seed, trained one after another, reported to Optuna, and pruned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.signals import asked_to_stop
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural
from gan_exp.search.objective import Evaluations, main_metric, training_seconds, value_of, why_missing
from gan_exp.search.study import Question
from gan_exp.sweeps.job import Job, Outcome

EVALUATIONS = 10  # of each run, where they matter before its end and the user chose no interval
RESTARTS = 3  # of a run whose process was killed: more often it is the run's own doing, such as its memory


class OptunaTrial(Protocol):
    """What is needed of `optuna.Trial`."""

    @property
    def params(self) -> dict[str, Any]: ...
    def report(self, value: float, step: int) -> None: ...
    def should_prune(self) -> bool: ...


class Process(Protocol):
    """What is needed of `sweeps.process.JobProcess`."""

    def poll(self) -> Outcome | None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class Ended:
    """How a trial ended: with the value of each objective, or a cause."""

    state: Literal["complete", "pruned", "diverged", "failed"]
    values: tuple[float, ...] = ()
    cause: str = ""


@dataclass(frozen=True)
class Setting:
    """What all trials of a search share."""

    question: Question
    start: Callable[[Job], Process]
    config_dirs: Sequence[Path] = ()
    prunes: bool = False
    trusted: tuple[str, ...] = ()
    say: Callable[[str], None] = say


@dataclass
class _SeedRun:
    """The run of one seed: its job, and what is known of it."""

    job: Job
    evaluations: Evaluations
    steps: int
    process: Process | None = None
    starts: int = 0
    values: dict[int, float] = field(default_factory=dict)  # of the main objective, by the number of the evaluation


def trial_config(setting: Setting, words: Sequence[str], number: int = 0) -> tuple[Config, dict[str, Any]]:
    """What `words` train with the seed of that number, and the keys that the search sets itself.

    Raises UserError if they make no configuration.
    """
    plain = compose(words, setting.config_dirs).plain
    own: dict[str, Any] = {"best_metric": main_metric(setting.question.objectives).metric}
    if number:
        own["seed"] = check(plain).seed + number
    if not plain["evaluate_every_steps"]:
        steps = check(plain).steps
        often = setting.prunes or setting.question.checkpoint == "best"
        own["evaluate_every_steps"] = max(1, steps // EVALUATIONS) if often else steps
    return check({**plain, **own}), own


class TrialTraining:
    """Trains the trial in `directory`. Call `advance` again and again; it returns how the trial ended once it has.

    Raises UserError if the trial's values make no configuration.
    """

    def __init__(self, setting: Setting, trial: OptunaTrial, directory: Path, reported: Sequence[int] = ()) -> None:
        self._setting, self._trial, self.directory = setting, trial, directory
        self._reported = set(reported)  # a trial that was given back has reported before
        self._pruned = False
        words = setting.question.space.words(trial.params)
        self._runs = [self._seed_run(number, words) for number in range(setting.question.seeds)]
        self._waiting = list(self._runs)  # the first one is trained now

    def _seed_run(self, number: int, words: Sequence[str]) -> _SeedRun:
        question = self._setting.question
        config, own = trial_config(self._setting, words, number)
        place = self.directory / f"seed-{config.seed}" if question.seeds > 1 else self.directory
        job = Job(
            config.model_dump(mode="json"),
            str(place),
            label=",".join(question.space.own_words(self._trial.params)),
            words=(*words, *(f"{key}={value}" for key, value in own.items())),
            trusted=self._setting.trusted,
            go_on=True,
        )
        return _SeedRun(job, Evaluations(job.run), config.steps)

    @property
    def process(self) -> Process | None:
        """That of the run which is trained now."""
        return self._waiting[0].process if self._waiting else None

    def stop(self) -> None:
        """Ask the run to save a checkpoint and end."""
        if self.process is not None:
            self.process.stop()

    def has_stopped(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def advance(self) -> Ended | None:
        """Start what is next, report new evaluations, and see whether the trial has ended."""
        run = self._waiting[0]
        if run.process is None:
            if asked_to_stop() is not None:
                return None
            # By a process whose search was killed: it saves and ends. Asking makes the file.
            if run.job.run.lock.exists() and run.job.run.is_locked():
                return None
            run.process = self._setting.start(run.job)
            run.starts += 1
        outcome = run.process.poll()  # before the evaluations: the last one is written before the process ends
        self._report(run)
        if outcome is None:
            return None
        run.process = None
        if outcome.finished:
            return self._finish(run)
        if self._pruned:
            return Ended("pruned", cause=f"after {_steps(max(run.evaluations.by_step(), default=0))}")
        if outcome.code in (1, 2):
            return Ended("failed" if outcome.can_go_on or outcome.code == 2 else "diverged", cause=outcome.cause)
        if asked_to_stop() is not None:
            return None
        if run.starts <= RESTARTS:
            self._setting.say(f"{path_from_here(run.job.run.path)}: {outcome.cause}; it goes on from its checkpoint")
            return None
        return Ended("failed", cause=f"{outcome.cause} ({run.starts} times)")

    def _report(self, run: _SeedRun) -> None:
        """Report the mean over the seeds that have come as far, and stop the run if Optuna prunes the trial.

        Optuna's steps count evaluations, those of all seeds: number 12 is the second one of the second seed, where
        each has ten.
        """
        objective = main_metric(self._setting.question.objectives)
        every = run.job.config["evaluate_every_steps"]
        each = -(-run.steps // every)
        before = self._runs[: self._runs.index(run)]
        for step, line in sorted(run.evaluations.by_step().items()):
            number, value = -(-step // every), value_of(objective, line)
            if value is None or number in run.values:
                continue
            run.values[number] = value
            total = len(before) * each + number
            alike = [other.values[number] for other in before if number in other.values]
            if self._setting.prunes and total not in self._reported and not self._pruned:
                self._trial.report((sum(alike) + value) / (len(alike) + 1), total)
                self._reported.add(total)
                if step < run.steps and self._trial.should_prune():
                    self._pruned = True
                    self.stop()

    def _finish(self, run: _SeedRun) -> Ended | None:
        """The run of one seed has finished; the trial has if it was the last one."""
        self._waiting.remove(run)
        self._pruned = False  # it had finished before it could be stopped
        if self._waiting:
            return None
        try:
            found = [self._values(one) for one in self._runs]
        except UserError as error:
            return Ended("failed", cause=str(error))
        return Ended("complete", tuple(sum(values) / len(values) for values in zip(*found, strict=True)))

    def _values(self, run: _SeedRun) -> list[float]:
        """The value of each objective; raises UserError if one is missing or not finite."""
        lines = run.evaluations.by_step()
        last = lines.get(run.steps)
        if last is None:
            raise UserError(f"{run.job.directory}: has no evaluation of its last step")
        values = []
        for objective in self._setting.question.objectives:
            if objective.score is None:
                values.append(training_seconds(run.job.run))
                continue
            chosen = [last] if self._setting.question.checkpoint == "last" else list(lines.values())
            measured = [value for line in chosen if (value := value_of(objective, line)) is not None]
            if not measured:
                raise UserError(f"{run.job.directory}: {why_missing(objective, last)}")
            values.append(objective.best_of(measured))
        return values


def _steps(number: int) -> str:
    return plural(number, "step")
