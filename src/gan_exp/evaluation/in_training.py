"""Evaluations while a run trains: the same scores as `gan-exp evaluate`, with one seed, and which step was the best."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.evaluator import LOWER_IS_BETTER, METRICS, Evaluator, missing_for, tag
from gan_exp.evaluation.features.choice import build_features, usual_features
from gan_exp.evaluation.features.cnn import cache_folder
from gan_exp.training.build import build_held_out

SEED = 0  # every evaluation's samples come from the same latents: what changes between them is the generator


def refuse_unmeasurable(config: Config, data: PackedImages) -> None:
    """Raises UserError where evaluations in training could not be made, or not tell `best_metric`."""
    if config.evaluate_every_steps and data.extent is None and usual_features(data) == "cnn":
        cache_folder()
    possible = [score for metric in _metrics(data) for score in METRICS[metric]]
    if config.evaluate_every_steps and config.best_metric not in possible:
        raise UserError(
            f"best_metric={config.best_metric}: can't be measured on {config.dataset['name']} in training; "
            f"choose one of {', '.join(possible)}"
        )


def _metrics(data: PackedImages) -> list[str]:
    """All that takes seconds and needs no images but those trained on."""
    features = usual_features(data)
    return [
        metric
        for metric in METRICS
        if metric not in ("neighbours", "discriminator") and missing_for(metric, data, None, features) is None
    ]


class TrainingEvaluation:
    """`best` is {"metric", "score", "step"} of the best evaluation so far; of an earlier process: from `checkpoint`."""

    def __init__(
        self,
        config: Config,
        data: PackedImages,
        device: torch.device,
        tell: Callable[[str], None],
        checkpoint: Mapping[str, Any] | None,
    ) -> None:
        self._config, self._data, self._device, self._tell = config, data, device, tell
        self._evaluator: Evaluator | None = None
        self._space = "points" if data.extent is not None else usual_features(data)
        self.seconds = 0.0  # spent here, which is no training
        self.best: dict[str, Any] | None = (checkpoint or {}).get("best")
        if self.best is not None and self.best["metric"] != config.best_metric:
            self.best = None

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """Scores by name. The first call readies the features. May be cut short at any place."""
        began = time.perf_counter()
        try:
            if self._evaluator is None:
                self._evaluator = self._make_evaluator()
            return self._evaluator.measure(generator, self._config.evaluate_count, SEED).scores
        finally:
            self.seconds += time.perf_counter() - began

    def record(self, scores: Mapping[str, float], step: int, spent: float) -> tuple[dict[str, float], bool]:
        """The scores by TensorBoard tag, and whether those of `step` are the best so far; both are told."""
        score, metric = scores[self._config.best_metric], self._config.best_metric
        sign = -1 if metric in LOWER_IS_BETTER else 1
        is_best = self.best is None or sign * score > sign * self.best["score"]
        if is_best:
            self.best = {"metric": metric, "score": score, "step": step}
        shown = ", ".join(f"{tag(name, self._space)} {value:.4g}" for name, value in scores.items())
        self._tell(f"step {step}: {shown}{' (the best so far)' if is_best else ''}; {spent:.1f} s that don't count")
        return {f"evaluation/{tag(name, self._space)}": value for name, value in scores.items()}, is_best

    def _make_evaluator(self) -> Evaluator:
        data, held_out = self._data, build_held_out(self._config)
        network = build_features(usual_features(data), data, held_out, self._device, self._tell)
        return Evaluator(self._config, data, held_out, data, network, _metrics(data))

    def closing_line(self) -> str:
        best = self.best
        where = "" if best is None else f"; best {best['metric']} {best['score']:.4g} at step {best['step']} (best.pt)"
        return f"evaluations: {self.seconds:.1f} s beside the training{where}"
