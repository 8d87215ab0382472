"""Features for data without labels: the pixels, or random projections of them."""

import hashlib
import math
from functools import partial

import torch
from torch import Tensor

from gan_exp.data.packed import DataSpec
from gan_exp.evaluation.features.extractor import FeatureExtractor, prepare
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.randomness import Streams

PROJECTIONS = 256  # a covariance of more would want many thousands of samples


def pixel_features(spec: DataSpec, device: torch.device | str = "cpu") -> FeatureExtractor:
    """Pixels in [-1, 1], [N, C * H * W]; of larger images 256 projections on Gaussian directions, always the same ones.

    Distances survive such a projection (Johnson and Lindenstrauss 1984), but they are distances of pixels: two
    pictures of the same thing may be far apart. Of points their coordinates, under the name `points`.
    """
    size = math.prod(spec.image_shape)
    projection: Tensor | None = None
    what = f"{size} values"
    if size > PROJECTIONS:
        directions = torch.randn(size, PROJECTIONS, generator=Streams(0).at(size, "projection"))
        projection = directions / math.sqrt(PROJECTIONS)
        what = f"{size} values on {PROJECTIONS} directions"

    if spec.extent is None and spec.image_shape[0] == 4:
        what += ", colours multiplied by alpha"
    digest = hashlib.blake2b(what.encode(), digest_size=8)
    if projection is not None:
        digest.update(projection.numpy().data)
    name = "pixels" if spec.extent is None else "points"
    return FeatureExtractor(name, digest.hexdigest(), partial(_extract, projection), device, about={"what": what})


def _extract(projection: Tensor | None, images: Tensor) -> Embedding:
    flat = prepare(images).flatten(1)
    return Embedding(flat if projection is None else flat @ projection.to(flat.device))
