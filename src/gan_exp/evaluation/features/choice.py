"""The feature extractor for a data set."""

from collections.abc import Callable

import torch

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.cnn import cnn_features
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.inception import inception_features
from gan_exp.evaluation.features.pixels import pixel_features


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
        return cnn_features(data, held_out, device, say)
    if name == "inception":
        return inception_features(data.spec, device)
    return pixel_features(data.spec)
