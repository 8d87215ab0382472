"""A search whose jobs train nothing, for tests."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage

from fake_jobs import FakeJobs, distance_from
from gan_exp.config.compose import Composed, compose
from gan_exp.config.overrides import apply_overrides
from gan_exp.runs.run_dir import RunDir
from gan_exp.search.named import use_methods
from gan_exp.search.objective import Evaluations, parse_objectives, value_of
from gan_exp.search.result import Row, row_of, rows
from gan_exp.search.space import parse_space
from gan_exp.search.study import Question, open_study
from gan_exp.search.trial import Setting
from gan_exp.search.worker import Worker

WORDS = ("lr=log(1e-5,1e-1)", "model=choice(mlp,dcgan)", "steps=40")


class Search:
    """One study and its directory; `worker` makes a worker of it, as each process would."""

    def __init__(self, directory: Path, storage: BaseStorage) -> None:
        self.directory, self.storage = directory, storage
        self.said: list[str] = []
        self.told: list[Row] = []
        self.jobs = FakeJobs(distance_from(1e-3))
        self.now = 0.0

    def ask(
        self, *words: str, metric: str = "fid", sampler: str = "random(seed=1)", pruner: str = "nop", **more: Any
    ) -> "Search":
        question = Question(parse_space(words or WORDS), parse_objectives(metric), **more)
        self.setting = Setting(question, lambda job: self.jobs(job), prunes=pruner != "nop", say=self.said.append)
        self.study = open_study(question, self.storage, "search", "here")
        use_methods(self.study, question, sampler, pruner)
        return self

    def worker(self, count: int = 3, slots: int = 1) -> Worker:
        study = optuna.load_study(
            study_name="search", storage=self.storage, sampler=self.study.sampler, pruner=self.study.pruner
        )
        return Worker(
            study, self.storage, self.setting, self.directory, count, slots, self.said.append,
            lambda trial: self.told.append(row_of(trial)), lambda: self.now,
        )  # fmt: skip

    @property
    def rows(self) -> list[Row]:
        return rows(self.study)


@cache
def _composed(*words: str) -> Composed:
    return compose(words)


def quick_compose(words: Sequence[str], config_dirs: Sequence[Path] = ()) -> Composed:
    """Composing takes longer than a test: it's done once, and plain numbers are set afterwards."""
    numbers = [word for word in words if word.startswith(("lr=", "batch_size=", "steps="))]
    composed = _composed(*(word for word in words if word not in numbers))
    return composed._replace(plain=apply_overrides(composed.plain, numbers))


def last_fid(run: RunDir) -> float:
    """That of the run's last evaluation."""
    (fid,) = parse_objectives("fid")
    value = value_of(fid, max(Evaluations(run).by_step().items())[1])
    assert value is not None
    return value
