"""What `evaluation.json` holds: every score over its seeds, and the protocol without which the scores mean nothing."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from gan_exp import __version__
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.data_scores import DataScores, cached_data_scores
from gan_exp.evaluation.evaluator import Evaluator, Measurement
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.metrics.entries import METRICS
from gan_exp.metrics.metric import Score
from gan_exp.metrics.modes import count_labels

FORMAT = 1
PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scikit-learn")


def make_report(
    run: Mapping[str, Any],
    data: PackedImages,
    held_out: PackedImages | None,
    split: str,
    evaluator: Evaluator,
    count: int,
    measurements: Sequence[Measurement],
) -> dict[str, Any]:
    """The scores beside the data's own, and the protocol; `run` holds what is known of the generator and its data set.

    `measurements` are those of the seeds 0, 1, ... Where the extractor knows the data's classes, so does the report.
    """
    extractor = evaluator.extractor
    scores = [score for metric in evaluator.metrics for score in metric.scores]
    metrics = summarise([one.scores for one in measurements], scores, extractor.name)
    protocol = describe_protocol(run, data, held_out, split, evaluator, count, range(len(measurements)))
    if evaluator.comparing:
        own = _data_scores(evaluator, data, held_out, split, count)
        add_data_scores(metrics, own, scores, extractor.name)
        protocol["yardstick"] = {"what": own.what, "images": own.images}
    report = {"format": FORMAT, "step": run["step"], "metrics": metrics, "protocol": protocol}
    if extractor.knows_classes and data.channel_data is None:
        report["classes"] = class_frequencies(data, evaluator, measurements)
    return report


def summarise(
    found: Sequence[Mapping[str, float]], scores: Iterable[Score], features: str
) -> dict[str, dict[str, Any]]:
    """Mean, sample standard deviation (None of a single value) and the values themselves of each score, by its tag.

    A score may be measured for the first seeds only. Where a value isn't finite neither is the mean: both are None, and
    `reason` says why.
    """
    summary: dict[str, dict[str, Any]] = {}
    for score in scores:
        values = [one[score.name] for one in found if score.name in one]
        if not values:
            continue
        if all(map(math.isfinite, values)):
            spread = statistics.stdev(values) if len(values) > 1 else None
            summary[score.tag(features)] = {"mean": statistics.fmean(values), "sd": spread, "values": values}
        else:
            finite = [value if math.isfinite(value) else None for value in values]
            summary[score.tag(features)] = {"mean": None, "sd": None, "values": finite, "reason": score.not_finite}
    return summary


def _data_scores(
    evaluator: Evaluator, data: PackedImages, held_out: PackedImages | None, split: str, count: int
) -> DataScores:
    """From the cache, unless a metric is the user's own, whose function may have changed."""
    if not set(evaluator.metrics) <= set(METRICS):
        return evaluator.data_scores(count)
    extractor = evaluator.extractor
    digests = (extractor.digest, data.digest, None if held_out is None else held_out.digest)
    names = tuple(metric.name for metric in evaluator.comparing)
    panel = tuple(member.digest for member in evaluator.panel)
    key = (extractor.name, *digests, split, count, names, *panel)
    return cached_data_scores(key, lambda: evaluator.data_scores(count))


def add_data_scores(
    metrics: dict[str, dict[str, Any]], data_scores: DataScores, scores: Iterable[Score], features: str
) -> None:
    """The data's own score beside each mean, under `data`; None where it isn't finite."""
    for score in scores:
        tag = score.tag(features)
        if tag in metrics and score.name in data_scores.scores:
            value = data_scores.scores[score.name]
            metrics[tag]["data"] = value if value is not None and math.isfinite(value) else None


def describe_protocol(
    run: Mapping[str, Any],
    data: PackedImages,
    held_out: PackedImages | None,
    split: str,
    evaluator: Evaluator,
    count: int,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """All that someone else must know to measure the same."""
    reals = evaluator.real_count
    of_metrics: dict[str, dict[str, Any]] = {
        metric.name: dict(metric.protocol(count, reals))
        for metric in dict.fromkeys((*METRICS, *evaluator.metrics))
        if metric.protocol is not None
    }
    if evaluator.panel:
        of_metrics["panel"]["members"] = list(map(_describe, evaluator.panel))
    return {
        "features": _describe(evaluator.extractor),
        "precision": "float32",  # of the samples and the features, whatever the training's was
        "samples": count,
        "reals": reals,
        "split": split,
        "held_out": None if held_out is None else len(held_out.images),
        "seeds": list(seeds),
        "dataset": run["dataset"],
        "data_digest": data.digest,
        "image_shape": list(data.image_shape),
        "resize": run["resize"],
        "averaged_generator": run["averaged_generator"],
        "conditional": run["conditional"],
        **of_metrics,
        **(
            {"panel": of_metrics["panel"] | {"members": list(map(_describe, evaluator.panel))}}
            if evaluator.panel
            else {}
        ),
        "versions": {"gan-exp": __version__, **{name: version(name) for name in PACKAGES}},
    }


def _describe(extractor: FeatureExtractor) -> dict[str, Any]:
    return {"name": extractor.name, "digest": extractor.digest, **extractor.about}


def class_frequencies(data: PackedImages, evaluator: Evaluator, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """How often each class occurs in the data, and on average among the samples."""
    counts = [count_labels(one.embedding.labels, data.spec.num_classes).double() for one in measurements]
    return {
        "names": list(data.classes),
        "data": evaluator.data_histogram(),
        "samples": torch.stack(counts).mean(dim=0).tolist(),
    }
