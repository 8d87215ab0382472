"""The data that samples are compared with: its features once, and what every comparison needs of them."""

import torch
from torch import Tensor

from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.network import Embedding
from gan_exp.metrics.distances import KernelReference, class_score, frechet_distance
from gan_exp.metrics.modes import count_labels, cover_labels, cover_mixture, join_digits, kl_divergence
from gan_exp.metrics.neighbours import K_NEAREST, compare_manifolds, squared_radii

MOST_IN_MANIFOLDS = 5_000  # of each side: every distance is looked at


class Reference:
    """`features` [N, D] of images of `data`, and how often each class occurs among these, where they have labels."""

    def __init__(self, data: PackedImages, features: Tensor, histogram: Tensor | None) -> None:
        self.features, self.histogram, self._data = features, histogram, data
        self._kernel: KernelReference | None = None
        self._radii: dict[int, Tensor] = {}  # by the number of images

    def score(self, metric: str, samples: Tensor, embedding: Embedding, seed: int) -> dict[str, float]:
        """Any but those of neighbours and of the discriminator. Raises ValueError of too few samples."""
        real, fake = self.features, embedding.features
        if metric == "fid":
            return {"fid": frechet_distance(real, fake)}
        if metric == "kid":
            self._kernel = self._kernel or KernelReference(real)
            distance, spread = self._kernel.distance(fake, seed)
            return {"kid": distance, "kid_subset_sd": spread}
        if metric == "score":
            assert embedding.logits is not None
            return {"score": class_score(embedding.logits, seed).mean}
        if metric == "manifolds":
            return self._compare_manifolds(fake)
        if metric == "classes":
            assert self.histogram is not None
            return {"class_kl": kl_divergence(count_labels(embedding.labels, len(self.histogram)), self.histogram)}
        if self._data.mixture is not None:
            mixture = cover_mixture(samples.flatten(1), *self._data.mixture)
            return {"modes": mixture.modes, "high_quality": mixture.high_quality, "mode_kl": mixture.kl}
        stacked = cover_labels(join_digits(embedding.labels), torch.ones(self._data.spec.num_classes))
        return {"modes": stacked.modes, "mode_kl": stacked.kl}

    def _compare_manifolds(self, fake: Tensor) -> dict[str, float]:
        equally_many = min(len(self.features), len(fake), MOST_IN_MANIFOLDS)
        real = self.features[:equally_many]
        if equally_many > K_NEAREST and equally_many not in self._radii:
            self._radii[equally_many] = squared_radii(real)
        return compare_manifolds(real, fake[:equally_many], real_radii=self._radii.get(equally_many))._asdict()
