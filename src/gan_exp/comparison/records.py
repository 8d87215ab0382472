"""What many runs have left in their directories, read fast: thousands in seconds, without torch.

`read_runs` is the door: give it runs, sweeps or folders. Each `RunRecord` holds what a table, a page or a search asks
of a run. Nothing here writes, and a run that is damaged or still being written gives what can be read of it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from gan_exp.comparison.evaluations import TAG, Evaluation, Value, evaluations_in_training, number, read_evaluation
from gan_exp.comparison.states import state_of
from gan_exp.config.overrides import leaves
from gan_exp.config.plain_yaml import SimilarYaml
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.errors import UserError
from gan_exp.metrics.entries import METRICS
from gan_exp.metrics.metric import Score
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import is_sweep, list_runs, short_names

SCORES = {score.name: score for metric in METRICS for score in metric.scores}


@dataclass(frozen=True)
class RunRecord:
    """A run as its directory tells it.

    `configuration` has dotted keys (`optimizer.generator.lr`). `logged` are the newest running means by their tags
    (`loss/generator`). `evaluations` are in the order of their steps; at the same step those of `gan-exp evaluate` come
    last. `reason` is why a run failed or stopped. `seconds` were spent on training (None before the end).
    """

    path: Path
    name: str
    state: str  # one of `states.STATES`
    step: int
    steps: int
    configuration: Mapping[str, Any]
    logged: Mapping[str, float]
    evaluations: tuple[Evaluation, ...] = ()
    reason: str | None = None
    seconds: float | None = None
    environment: Mapping[str, Any] | None = None
    sweep: Path | None = None  # the directory of the sweep that it belongs to
    kept_verdicts: tuple[Verdict, ...] | None = None  # None where the records must be read

    @property
    def seed(self) -> Any:
        return self.configuration.get("seed")

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The doctor's, the gravest first; empty if the run can't be diagnosed. May read the run's records."""
        if self.kept_verdicts is not None:
            return self.kept_verdicts
        from gan_exp.diagnosis.examination import examine

        with suppress(UserError, OSError, ValueError, TypeError, KeyError, AttributeError):
            return examine(RunDir(self.path))[1]
        return ()

    @property
    def verdict(self) -> str:
        """The names of the verdicts for a table."""
        return ", ".join(verdict.name for verdict in self.verdicts)

    def evaluation(self, step: int | None = None, tag: str | None = None) -> Evaluation | None:
        """The evaluation at `step` (None: the newest), of those that have the score `tag`."""
        having = [one for one in self.evaluations if tag is None or tag in one.scores]
        return next((one for one in reversed(having) if step is None or one.step == step), None)

    @cached_property
    def best(self) -> Evaluation | None:
        """The best evaluation during training by the run's `best_metric`, as best.pt is chosen: the first of equals."""
        name = str(self.configuration.get("best_metric", "fid"))
        if (score := SCORES.get(name)) is None or score.better is None:
            return None  # a metric of the user's own, whose direction isn't known here
        sign = 1 if score.better == "lower" else -1
        found = [
            (sign * value.mean, one.step, one)
            for one in self.evaluations
            if one.protocol.in_training
            and (value := one.scores.get(score.tag(one.protocol.features))) is not None
            and value.mean is not None
        ]
        return min(found, key=lambda each: each[:2])[2] if found else None

    def value(self, tag: str) -> float | None:
        """The newest value of a score (`fid_cnn`), of a running mean (`loss/generator`), or `seconds`."""
        if tag == "seconds":
            return self.seconds
        evaluation = self.evaluation(tag=tag.removeprefix(TAG))
        value = Value(self.logged.get(tag)) if evaluation is None else evaluation.scores[tag.removeprefix(TAG)]
        return value.mean

    @property
    def tags(self) -> list[str]:
        """All that `value` knows of this run."""
        scores = dict.fromkeys(tag for one in self.evaluations for tag in one.scores)
        return [*scores, *self.logged, *(["seconds"] if self.seconds is not None else [])]


def read_runs(places: Iterable[Path]) -> list[RunRecord]:
    """The runs at and below `places`, each once, in the order of `places`, and below each by path: 2-lr before 10-lr.

    Directories that hold no configuration that can be read are passed over. Links are not followed.
    """
    paths = list(dict.fromkeys(run for place in places for run in sorted(list_runs(place), key=natural)))
    reader = SimilarYaml()
    sweeps: dict[Path, Path | None] = {}
    records = []
    for path, name in zip(paths, short_names(paths), strict=True):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            config = reader.read((RunDir(path).config).read_text(encoding="utf-8"))
            records.append(_read_run(path, name, config, _sweep_of(path, sweeps)))
    return records


def natural(path: Path) -> list[str | int]:
    """Numbers within a name count as such."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def _sweep_of(path: Path, known: dict[Path, Path | None]) -> Path | None:
    """The directory above `path` that holds a sweep's record."""
    parent = path.parent
    if parent not in known:
        known[parent] = next((place for place in (parent, *parent.parents[:2]) if is_sweep(place)), None)
    return known[parent]


def _read_run(path: Path, name: str, config: Mapping[str, Any], sweep: Path | None) -> RunRecord:
    run, configuration = RunDir(path), leaves(config)
    status, lines = run.read_status(), _read_lines(run.metrics)
    state = state_of(run, status)
    scored = list(_loaded(line for line in lines if b'"evaluation/' in line))
    evaluated = [one for file in run.list_evaluations() if (one := read_evaluation(file)) is not None]
    evaluations = [*evaluations_in_training(scored, configuration), *evaluated]
    logged = status.get("metrics")
    logged = logged if isinstance(logged, dict) and logged else _last_logged(lines)
    step = status.get("step", 0)
    return RunRecord(
        path=path,
        name=name,
        state=state,
        step=step if isinstance(step, int) else 0,
        steps=int(configuration.get("steps") or 0),
        configuration=configuration,
        logged={tag: value for tag, value in logged.items() if number(value) is not None and tag != "step"},
        evaluations=tuple(sorted(evaluations, key=lambda one: one.step)),
        reason=str(status["reason"]) if status.get("reason") else None,
        seconds=number(status.get("train_seconds")) if state == "finished" else None,
        environment=run.read_environment(),
        sweep=sweep,
        kept_verdicts=None if evaluated else _verdicts(status.get("doctor")),  # evaluations may change them
    )


def _read_lines(path: Path) -> list[bytes]:
    """The complete lines of metrics.jsonl."""
    try:
        return [line for line in path.read_bytes().split(b"\n") if line.endswith(b"}")]
    except OSError:
        return []


def _last_logged(lines: Sequence[bytes]) -> dict[str, Any]:
    return next(_loaded(line for line in reversed(lines) if b'"loss/generator"' in line), {})


def _loaded(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Those that a crash has not damaged."""
    for line in lines:
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("step"), int):
                yield found


def _verdicts(plain: Any) -> tuple[Verdict, ...] | None:
    """Those that the run itself has written into its status."""
    if not plain or not isinstance(plain, list):
        return None
    try:
        return tuple(Verdict(**{**one, "remedies": tuple(one["remedies"])}) for one in plain)
    except (TypeError, KeyError):
        return None


@lru_cache(maxsize=4096)
def score_of(tag: str) -> Score | None:
    """The entry of a score by its name with or without the suffix of the features; None if it isn't the package's.

    Its `better` is the direction in which a generator improves.
    """
    if tag in SCORES:
        return SCORES[tag]
    names = [name for name, score in SCORES.items() if score.of_features and tag.startswith(f"{name}_")]
    return SCORES[max(names, key=len)] if names else None
