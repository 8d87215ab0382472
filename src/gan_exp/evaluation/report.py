"""What `evaluation.json` holds: every score over its seeds, and the protocol without which it means nothing."""

import math
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from gan_exp import __version__
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.evaluator import MOST_NEIGHBOURS, Evaluator, tag
from gan_exp.evaluation.features.network import FeatureNetwork
from gan_exp.evaluation.reference import MOST_IN_MANIFOLDS
from gan_exp.evaluation.yardstick import Yardstick
from gan_exp.metrics.distances import KERNEL_SUBSET_SIZE, KERNEL_SUBSETS, score_splits
from gan_exp.metrics.neighbours import K_NEAREST

FORMAT = 1
NOT_FINITE = {"class_kl": "infinite: samples are of a class that the data compared with lacks"}
PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scikit-learn")


def summarise(scores: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean, sample standard deviation (None of a single seed) and the values themselves, by name.

    Where a value isn't finite neither is the mean: both are None, and `reason` says why.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in scores[0]:
        values = [one[name] for one in scores]
        if all(map(math.isfinite, values)):
            spread = statistics.stdev(values) if len(values) > 1 else None
            found[name] = {"mean": statistics.fmean(values), "sd": spread, "values": values}
        else:
            finite = [value if math.isfinite(value) else None for value in values]
            found[name] = {"mean": None, "sd": None, "values": finite, "reason": NOT_FINITE.get(name, "not finite")}
    return found


def add_yardstick(metrics: dict[str, dict[str, Any]], yardstick: Yardstick, features: str) -> None:
    """Beside each mean what the data itself has, under `data`; None where that isn't finite."""
    for name, value in yardstick.scores.items():
        if (named := tag(name, features)) in metrics:
            metrics[named]["data"] = value if value is not None and math.isfinite(value) else None


def describe_protocol(
    run: Mapping[str, Any],
    data: PackedImages,
    held_out: PackedImages | None,
    split: str,
    network: FeatureNetwork,
    evaluator: Evaluator,
    count: int,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """All that another must know to measure the same; `run` has what is known of the generator and its data set."""
    return {
        "features": {"name": network.name, "digest": network.digest, **network.about},
        "samples": count,
        "reals": evaluator.real_count,
        "split": split,
        "held_out": None if held_out is None else len(held_out.images),
        "seeds": list(seeds),
        "dataset": run["dataset"],
        "data_digest": data.digest,
        "image_shape": list(data.image_shape),
        "resize": run["resize"],
        "averaged_generator": run["averaged_generator"],
        "conditional": run["conditional"],
        "kid": {"subsets": KERNEL_SUBSETS, "subset_size": min(KERNEL_SUBSET_SIZE, count, evaluator.real_count)},
        "score": {"splits": score_splits(count)},
        "manifolds": {"neighbours": K_NEAREST, "of_each": min(MOST_IN_MANIFOLDS, count, evaluator.real_count)},
        "neighbours": {"samples": min(MOST_NEIGHBOURS, count)},
        "versions": {"gan-exp": __version__, **{name: version(name) for name in PACKAGES}},
    }
