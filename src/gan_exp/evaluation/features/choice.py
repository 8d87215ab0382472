"""The feature extractors for a data set: the usual one, and the panel of all that learn from such data."""

from collections.abc import Callable, Iterable

import torch

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.inception import inception_features
from gan_exp.evaluation.features.learning import AUTOENCODER, CNN, DENSE, LENET
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.features.trained import trained_features
from gan_exp.metrics.metric import Metric, Need

CLASSIFIERS = (CNN, LENET, DENSE)


def usual_features(data: PackedImages) -> str:
    """The classifier for images with labels, else the pixels; of points there is nothing but their coordinates."""
    learns = data.extent is None and (data.channel_data or data).spec.num_classes > 1
    return "cnn" if learns else "pixels"


def build_features(
    name: str,
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None] = print,
) -> FeatureExtractor:
    """Raises UserError where this data can't have such features."""
    if name == "cnn":
        return trained_features(CNN, data, held_out, device, say)
    if name == "inception":
        return inception_features(data.spec, device)
    return pixel_features(data.spec)


def build_panel(
    metrics: Iterable[Metric],
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None] = print,
) -> tuple[FeatureExtractor, ...]:
    """The classifiers where there are labels, the autoencoder and the pixels; empty where no metric needs a panel."""
    if not any(Need.PANEL in metric.needs for metric in metrics):
        return ()
    designs = (*CLASSIFIERS, AUTOENCODER) if usual_features(data) == "cnn" else (AUTOENCODER,)
    learned = (trained_features(design, data, held_out, device, say) for design in designs)
    return (*learned, pixel_features(data.spec))
