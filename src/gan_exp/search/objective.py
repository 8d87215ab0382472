"""What a search improves: scores of the averaged generator as its run measured them, and the seconds of training."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from gan_exp.config.metrics import AUTO, resolve_best
from gan_exp.errors import UserError
from gan_exp.evaluation.features.names import OF_EVALUATIONS_IN_TRAINING as FEATURES
from gan_exp.metrics.entries import FID, PANEL
from gan_exp.metrics.metric import Score
from gan_exp.runs.metrics_log import NOT_FINITE, read_metrics
from gan_exp.runs.run_dir import RunDir

SECONDS = "seconds"
POINTS = "gan_exp.data.toys."
Checkpoint = Literal["last", "best"]


@dataclass(frozen=True)
class Objective:
    """`score` is None for the seconds of training. `metric` is how the user named it."""

    metric: str
    score: Score | None

    @property
    def better(self) -> Literal["lower", "higher"]:
        return "lower" if self.score is None or self.score.better is None else self.score.better

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Optuna's word for it."""
        return "minimize" if self.better == "lower" else "maximize"

    def best_of(self, values: Iterable[float]) -> float:
        return min(values) if self.better == "lower" else max(values)


def usual_metric(plain: Mapping[str, Any]) -> str:
    """What `auto` stands for in a composed configuration, as for best_metric: points have no panel."""
    return FID.name if str(plain["dataset"].get("_target_", "")).startswith(POINTS) else PANEL.name


def parse_objectives(text: str, usual: str = PANEL.name) -> tuple[Objective, ...]:
    """`--metric fid`, `--metric fid,seconds`, or with auto for the `usual` one. Raises UserError for no metric."""
    names = [usual if name.strip() == AUTO else name.strip() for name in text.split(",") if name.strip()]
    if len(set(names)) < len(names) or not names:
        raise UserError(f"--metric {text}: must name one metric, or several different ones")
    found = tuple(Objective(name, None if name == SECONDS else resolve_best(name, "--metric")[1]) for name in names)
    if all(one.score is None for one in found):
        raise UserError(f"--metric {text}: the fastest training is none; name a metric beside it, such as fid,seconds")
    if sum("." in name for name in names) > 1:
        raise UserError(f"--metric {text}: evaluations during training measure one metric of your own at most")
    return found


def main_metric(objectives: Sequence[Objective]) -> Objective:
    """What selects the best checkpoint: a metric of the user's own, which is measured only so, or the first metric."""
    measured = [one for one in objectives if one.score is not None]
    return next((one for one in measured if "." in one.metric), measured[0])


class Evaluations:
    """The evaluations in a run's metrics.jsonl; each call reads only what the file has grown by."""

    def __init__(self, run: RunDir) -> None:
        self._path = run.metrics
        self._inode = self._read = 0
        self._scores: dict[int, dict[str, Any]] = {}

    def by_step(self) -> Mapping[int, dict[str, Any]]:
        """The line of each step with an evaluation, scores by tag."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._read:  # a resumed run writes the file anew
                    self._inode, self._read, self._scores = found.st_ino, 0, {}
                file.seek(self._read)
                text = file.read()
        except OSError:
            return self._scores
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError):  # a crash has cut it
                if b'"evaluation/' in line:
                    scores = json.loads(line)
                    self._scores[scores["step"]] = scores
        return self._scores


def value_of(objective: Objective, line: Mapping[str, Any]) -> float | None:
    """The score in the scores of one evaluation; None if it is missing or not finite."""
    assert objective.score is not None
    name = objective.score.name
    tags = [f"{name}_{features}" for features in FEATURES] if objective.score.of_features else [name]
    found = next((line[f"evaluation/{tag}"] for tag in tags if f"evaluation/{tag}" in line), None)
    return None if found is None else float(found)


def why_missing(objective: Objective, line: Mapping[str, Any]) -> str:
    """A sentence for a score that `value_of` doesn't find."""
    infinite = line.get(NOT_FINITE, {})
    shown = next((text for tag, text in infinite.items() if objective.metric in tag), None)
    return f"its {objective.metric} is {shown or 'missing'}"


def training_seconds(run: RunDir) -> float:
    """The time in the training loop without evaluations, over all processes that trained the run.

    From the logged images per second: status.json knows the last process alone.
    """
    seconds, before = 0.0, 0.0
    for line in read_metrics(run.metrics):
        images, rate = line.get("progress/kimg"), line.get("progress/images_per_sec")
        if images is not None and rate:
            seconds += 1000 * (images - before) / rate
            before = images
    return seconds
