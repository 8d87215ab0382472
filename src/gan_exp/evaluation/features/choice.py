"""The feature extractors for a data set: the usual one, and the panel of all that learn from such data."""

from collections.abc import Callable, Iterable

import torch

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.inception import inception_features
from gan_exp.evaluation.features.learning import AUTOENCODER, CNN, DENSE, LENET, SSL
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.features.trained import trained_features
from gan_exp.evaluation.features.untrained import random_features
from gan_exp.metrics.metric import Metric, Need

CLASSIFIERS = (CNN, LENET, DENSE)


def usual_features(data: PackedImages) -> str:
    """The classifier for images with labels, for others the network that learns without; of points the coordinates."""
    if data.extent is not None:
        return "pixels"
    return "cnn" if (data.channel_data or data).spec.num_classes > 1 else "ssl"


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
    if data.extent is not None and name in ("ssl", "random"):
        raise UserError(f"--features {name}: these are points, not images; leave --features away")
    if name == "ssl":
        return trained_features(SSL, data, held_out, device, say)
    if name == "random":
        return random_features(data.spec, device)
    if name == "inception":
        return inception_features(data.spec, device)
    return pixel_features(data.spec, device)


def build_panel(
    metrics: Iterable[Metric],
    data: PackedImages,
    held_out: PackedImages | None,
    device: torch.device,
    say: Callable[[str], None] = print,
) -> tuple[FeatureExtractor, ...]:
    """The classifiers where there are labels, else the network that learns without and the random one, beside them the
    autoencoder and the pixels; empty where no metric needs a panel.
    """
    if not any(Need.PANEL in metric.needs for metric in metrics):
        return ()
    labels = usual_features(data) == "cnn"
    designs = (*CLASSIFIERS, AUTOENCODER) if labels else (SSL, AUTOENCODER)
    learned = [trained_features(design, data, held_out, device, say) for design in designs]
    untrained = [] if labels else [random_features(data.spec, device)]
    return (*learned, *untrained, pixel_features(data.spec, device))
