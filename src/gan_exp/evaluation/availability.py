"""Which metrics can be measured on a data set, and why others can't."""

from collections.abc import Callable

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.choice import usual_features
from gan_exp.metrics.entries import METRICS
from gan_exp.metrics.metric import Metric, Need
from gan_exp.runtime.words import there_are


def available_needs(data: PackedImages, held_out: PackedImages | None, features: str) -> frozenset[Need]:
    """What a checkpoint of a run on `data`, measured in the space `features`, offers to metrics."""
    whole_images = data.channel_data is None  # the classifier of others looks at each channel on its own
    alone = held_out is not None and len(held_out.images) < 2  # nothing to compare the data itself with
    has_panel = data.extent is None and not alone and features == usual_features(data)
    offered = {
        Need.CLASS_PROBABILITIES: features == "inception" or (features == "cnn" and whole_images),
        Need.DATA_CLASSES: features == "cnn" and whole_images,
        Need.MODES: data.mixture is not None or (not whole_images and features == "cnn"),
        Need.MIXTURE: data.mixture is not None,
        Need.HELD_OUT: held_out is not None,
        Need.PANEL: has_panel,
        Need.CLASSIFIERS: has_panel and features == "cnn",
        Need.NO_LABELS: has_panel and features != "cnn",
        Need.DISCRIMINATOR: True,
    }
    return frozenset(need for need, is_offered in offered.items() if is_offered)


def missing_for(
    metric: Metric,
    data: PackedImages,
    held_out: PackedImages | None,
    features: str,
    reals: PackedImages | None = None,
) -> str | None:
    """Why the metric can't be measured here, as the rest of a sentence; None where it can.

    `reals` is what samples would be compared with, by default `data`.
    """
    available = available_needs(data, held_out, features)
    for need in metric.needs:
        if need not in available:
            return need.value
    count = len((reals or data).images)
    if count < metric.least_reals:
        what, remedy = "training image", "train on more"
        if reals is not None and reals is held_out:
            what, remedy = "held-out image", "train with a larger dataset.held_out, or compare with --split train"
        return f"needs at least {metric.least_reals} images to compare with, and {there_are(count, what)}: {remedy}"
    return None


def measurable_metrics(
    data: PackedImages,
    held_out: PackedImages | None,
    features: str,
    reals: PackedImages,
    say: Callable[[str], None],
) -> list[Metric]:
    """All of the package's that can be measured. Those that another run on such data could have are named by `say`."""
    found = []
    obtainable = available_needs(data, held_out, features) | {Need.HELD_OUT}
    for metric in METRICS:
        reason = missing_for(metric, data, held_out, features, reals)
        if reason is None:
            found.append(metric)
        elif obtainable.issuperset(metric.needs):
            say(f"left out: {metric.name}, which {reason}")
    return found
