"""Samples compared with data by several feature extractors, none of which decides alone.

Each distance is read beside the data's own, which other real images have in the place of samples.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.metrics.distances import FrechetReference
from gan_exp.metrics.embedding import Embedding

LEAST = 1e-9  # that the data's own distance counts as
CONFIDENT = 0.9  # probability of its class above which a classifier recognises an image


class PanelScores(NamedTuple):
    distances: dict[str, float]  # by the extractor's name, of the early layer with `_early` behind it
    recognised: float | None  # None without classifiers
    worst: float  # the largest distance relative to the data's own


class PanelReference:
    """Embeddings of real images by each extractor, and those of `own`: other real images in the place of samples.

    Samples are compared at the number of `own`, since Frechet distances of fewer are larger.
    """

    def __init__(
        self, real: Mapping[str, Embedding], own: Mapping[str, Embedding], device: torch.device | str = "cpu"
    ) -> None:
        self._real = {name: FrechetReference(features.to(device)) for name, features in _spaces(real)}
        self.own = own
        self._own_distances: dict[int, dict[str, float]] = {}  # by the number of images
        self.most = min(len(embedding.features) for embedding in own.values())

    def compare(self, samples: Mapping[str, Embedding], device: torch.device | str = "cpu") -> PanelScores:
        """Computed on `device`. Raises ValueError where there are too few samples, or they aren't finite."""
        count = min(self.most, *(len(embedding.features) for embedding in samples.values()))
        first = first_of(samples, count)
        found = self._distances(first, device)
        if count not in self._own_distances:
            self._own_distances[count] = self._distances(first_of(self.own, count), device)
        # Where the data is the same image again and again, its distance is what rounding leaves.
        worst = max(found[name] / max(own, LEAST) for name, own in self._own_distances[count].items())
        return PanelScores(found, recognised(first), worst)

    def _distances(self, samples: Mapping[str, Embedding], device: torch.device | str) -> dict[str, float]:
        return {name: self._real[name].distance(features.to(device)) for name, features in _spaces(samples)}


def first_of(embeddings: Mapping[str, Embedding], count: int) -> dict[str, Embedding]:
    return {name: embedding.first(count) for name, embedding in embeddings.items()}


def _spaces(embeddings: Mapping[str, Embedding]) -> Iterator[tuple[str, Tensor]]:
    for name, embedding in embeddings.items():
        yield name, embedding.features
        if embedding.early is not None:
            yield f"{name}_early", embedding.early


def recognised(embeddings: Mapping[str, Embedding], confident: float = CONFIDENT) -> float | None:
    """The share of images of which all classifiers name the same class, each with more than this probability.

    None without a classifier. Where each channel is an image of its own, all channels must be recognised.
    """
    logits = [embedding.logits for embedding in embeddings.values() if embedding.logits is not None]
    if not logits:
        return None
    probability, label = torch.stack(logits).softmax(dim=-1).max(dim=-1)  # [members, N] or [members, N, C]
    agreed = (label == label[0]).all(dim=0) & (probability > confident).all(dim=0)
    return agreed.flatten(1).all(dim=1).double().mean().item() if agreed.ndim > 1 else agreed.double().mean().item()
