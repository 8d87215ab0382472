"""Evaluations while a run trains: the same scores as `gan-exp evaluate`, with one seed, and which step was the best."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from gan_exp.config.metrics import AUTO, resolve_best
from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.availability import available_needs, missing_for
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.choice import usual_features
from gan_exp.evaluation.features.trained import cache_folder
from gan_exp.evaluation.few import FEW
from gan_exp.evaluation.sampling import Sampler
from gan_exp.metrics.entries import FID, KID, METRICS, PANEL
from gan_exp.metrics.metric import Metric

SEED = 0  # every evaluation's samples come from the same latents: only the generator changes between them


def choose_best_metric(best_metric: str, data: PackedImages) -> str:
    """`best_metric`; for `auto` the panel, of few images without labels `kid`, and of points `fid`."""
    if best_metric != AUTO:
        return best_metric
    if usual_features(data) == "ssl" and len(data.images) < FEW:
        return KID.name
    return (PANEL if missing_for(PANEL, data, None, usual_features(data)) is None else FID).name


def refuse_unmeasurable(best_metric: str, data: PackedImages, dataset: str) -> None:
    """Raises UserError where evaluations in training could not be made, or would not have `best_metric`."""
    if data.extent is None and usual_features(data) in ("cnn", "ssl"):
        cache_folder()
    available = available_needs(data, None, usual_features(data))
    scores = [score for metric in training_metrics(data, best_metric) for score in metric.scores]
    possible = [score for score in scores if score.better is not None and available.issuperset(score.needs)]
    if resolve_best(best_metric)[1] not in possible:
        raise UserError(
            f"best_metric={best_metric}: can't be measured on {dataset} in training; choose one of "
            f"{', '.join(score.name for score in possible)}"
        )


def training_metrics(data: PackedImages, best_metric: str) -> list[Metric]:
    """The package's metrics and that of `best_metric`, as far as they need only samples and training images."""
    features = usual_features(data)
    return [
        metric
        for metric in dict.fromkeys((*METRICS, resolve_best(best_metric)[0]))
        if metric.in_training and missing_for(metric, data, None, features) is None
    ]


class EvaluationHelp:
    """What the ranks other than the first do in an evaluation."""

    best: dict[str, Any] | None = None  # the first knows it

    def __init__(self, division: Division, spec: DataSpec) -> None:
        self._division, self._spec = division, spec
        self.seconds = 0.0

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """Until the first rank has measured the same generator; returns no scores."""
        began = time.perf_counter()
        self._division.serve(Sampler(generator, self._spec))
        self.seconds += time.perf_counter() - began
        return {}


class TrainingEvaluation:
    """Scores the generator of a run while it trains.

    `make_evaluator` is called at the first evaluation, since the features of the data take long. It measures `metrics`
    in the feature space `space`. `best` is {"metric", "score", "step", "features"} of the best evaluation so
    far, `previous_best` that of an earlier process. The evaluator divides its work by `division`, which is led here.
    """

    def __init__(
        self,
        make_evaluator: Callable[[], Evaluator],
        space: str,
        metrics: Sequence[Metric],
        best_metric: str,
        count: int,
        say: Callable[[str], None],
        previous_best: Mapping[str, Any] | None = None,
        division: Division | None = None,
    ) -> None:
        self._make_evaluator, self._count, self._say = make_evaluator, count, say
        self._division = division or Division()
        self._tags = {score.name: score.tag(space) for metric in metrics for score in metric.scores}
        self._space = space
        self._best_metric, self._best_score = best_metric, resolve_best(best_metric)[1]
        self._details = {score.name for metric in metrics for score in metric.scores if score.detail}
        self._details -= {self._best_score.name}
        self._evaluator: Evaluator | None = None
        self.seconds = 0.0  # spent here, which is no training
        self.best: dict[str, Any] | None = None
        if previous_best is not None and _comparable(previous_best, best_metric, space):
            self.best = dict(previous_best)

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """Scores by name. Raises Interrupted when a signal asks the run to stop."""
        began = time.perf_counter()
        try:
            with self._division.leading():
                if self._evaluator is None:
                    self._evaluator = self._make_evaluator()
                return self._evaluator.measure(generator, self._count, SEED).scores
        finally:
            self.seconds += time.perf_counter() - began

    def record(self, scores: Mapping[str, float], step: int, spent: float) -> tuple[dict[str, float], bool]:
        """The scores and the best so far by TensorBoard tag, and whether that is of `step`; all are shown."""
        score, metric = scores.get(self._best_score.name, math.nan), self._best_metric
        sign = -1 if self._best_score.better == "lower" else 1
        is_best = not math.isnan(score) and (self.best is None or sign * score > sign * self.best["score"])
        if is_best:
            self.best = {"metric": metric, "score": score, "step": step, "features": self._space}
        shown = ", ".join(f"{self._tags[name]} {scores[name]:.4g}" for name in scores if name not in self._details)
        note = " (the best so far)" if is_best else ""
        self._say(f"step {step}: {shown}{note}; the evaluation took {spent:.1f} s, not counted as training time")
        found = {f"evaluation/{self._tags[name]}": value for name, value in scores.items()}
        if self.best is not None:
            found[f"best/{self._tags[self._best_score.name]}"] = self.best["score"]
        return found, is_best

    def closing_line(self) -> str:
        best = self.best
        where = "" if best is None else f"; best {best['metric']} {best['score']:.4g} at step {best['step']} (best.pt)"
        return f"evaluations: {self.seconds:.1f} s beside the training{where}"


def _comparable(previous: Mapping[str, Any], best_metric: str, space: str) -> bool:
    """Whether an earlier best was measured as this process measures; where it doesn't tell, images without labels were
    compared as pixels.
    """
    before = previous.get("features", "pixels" if space == "ssl" else space)
    return bool(previous["metric"] == best_metric and before == space)
