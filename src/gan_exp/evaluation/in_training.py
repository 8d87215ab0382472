"""Evaluations while a run trains: the same scores as `gan-exp evaluate`, with one seed, and which step was the best."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.evaluator import LOWER_IS_BETTER, METRICS, Evaluator, missing_for, tag
from gan_exp.evaluation.features.choice import usual_features
from gan_exp.evaluation.features.cnn import cache_folder

SEED = 0  # every evaluation's samples come from the same latents: only the generator changes between them


def refuse_unmeasurable(best_metric: str, data: PackedImages, dataset: str) -> None:
    """Raises UserError where evaluations in training could not be made, or would not have `best_metric`."""
    if data.extent is None and usual_features(data) == "cnn":
        cache_folder()
    possible = [score for metric in training_metrics(data) for score in METRICS[metric]]
    if best_metric not in possible:
        raise UserError(
            f"best_metric={best_metric}: can't be measured on {dataset} in training; choose one of "
            f"{', '.join(possible)}"
        )


def training_metrics(data: PackedImages) -> list[str]:
    """All that take seconds and need no images but those trained on."""
    features = usual_features(data)
    return [
        metric
        for metric in METRICS
        if metric not in ("neighbours", "discriminator") and missing_for(metric, data, None, features) is None
    ]


class TrainingEvaluation:
    """Scores the generator of a run while it trains.

    `make_evaluator` is called at the first evaluation, which it makes slow: the features are readied. `space` is the
    feature space that the scores are named for. `best` is {"metric", "score", "step"} of the best evaluation so far:
    `previous_best` is that of an earlier process.
    """

    def __init__(
        self,
        make_evaluator: Callable[[], Evaluator],
        space: str,
        best_metric: str,
        count: int,
        say: Callable[[str], None],
        previous_best: Mapping[str, Any] | None = None,
    ) -> None:
        self._make_evaluator, self._space = make_evaluator, space
        self._best_metric, self._count, self._say = best_metric, count, say
        self._evaluator: Evaluator | None = None
        self.seconds = 0.0  # spent here, which is no training
        self.best: dict[str, Any] | None = None
        if previous_best is not None and previous_best["metric"] == best_metric:
            self.best = dict(previous_best)

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """Scores by name. May be cut short at any place."""
        began = time.perf_counter()
        try:
            if self._evaluator is None:
                self._evaluator = self._make_evaluator()
            return self._evaluator.measure(generator, self._count, SEED).scores
        finally:
            self.seconds += time.perf_counter() - began

    def record(self, scores: Mapping[str, float], step: int, spent: float) -> tuple[dict[str, float], bool]:
        """The scores by TensorBoard tag, and whether those of `step` are the best so far; both are shown."""
        score, metric = scores[self._best_metric], self._best_metric
        sign = -1 if metric in LOWER_IS_BETTER else 1
        is_best = self.best is None or sign * score > sign * self.best["score"]
        if is_best:
            self.best = {"metric": metric, "score": score, "step": step}
        shown = ", ".join(f"{tag(name, self._space)} {value:.4g}" for name, value in scores.items())
        note = " (the best so far)" if is_best else ""
        self._say(f"step {step}: {shown}{note}; the evaluation took {spent:.1f} s, not counted as training time")
        return {f"evaluation/{tag(name, self._space)}": value for name, value in scores.items()}, is_best

    def closing_line(self) -> str:
        best = self.best
        where = "" if best is None else f"; best {best['metric']} {best['score']:.4g} at step {best['step']} (best.pt)"
        return f"evaluations: {self.seconds:.1f} s beside the training{where}"
