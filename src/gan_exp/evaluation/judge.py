"""Scores of a generator: the data's features once, then as many generators and seeds as one likes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.config import Config
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.features.network import Embedding, FeatureNetwork
from gan_exp.metrics.distances import class_score, frechet_distance, kernel_distance
from gan_exp.metrics.modes import count_labels, cover_labels, cover_mixture, divergence, join_digits
from gan_exp.metrics.neighbours import Nearest, compare_manifolds, compare_with_held_out, find_nearest
from gan_exp.sampling import draw
from gan_exp.streams import Streams

# What can be asked for, and the scores that come of it.
METRICS = {
    "fid": ("fid",),
    "kid": ("kid", "kid_subset_sd"),
    "score": ("score",),
    "manifolds": ("precision", "recall", "density", "coverage"),
    "classes": ("class_kl",),
    "modes": ("modes", "high_quality", "mode_kl"),
    "neighbours": ("nearest", "nearest_held_out", "nearer"),
    "discriminator": ("logit_train", "logit_held_out", "logit_fake", "logit_overfitting"),  # see `discriminator`
}
LOWER_IS_BETTER = ("fid", "kid", "class_kl", "mode_kl", "nearer")
# Scores that are of no feature space; the others are named for theirs: fid_cnn.
NAMED_ALONE = (*METRICS["modes"], *METRICS["discriminator"])
MOST_REALS = 50_000
MOST_IN_MANIFOLDS = 5_000  # of each side: every distance is looked at
MOST_NEIGHBOURS = 1_000


class Measurement(NamedTuple):
    scores: dict[str, float]  # by the names in METRICS
    samples: Tensor
    embedding: Embedding
    nearest: Nearest | None = None  # training images, of the first samples


def tag(score: str, features: str) -> str:
    """What a score is called in the space of a feature network."""
    return score if score in NAMED_ALONE else f"{score}_{features}"


def missing_for(metric: str, data: PackedImages, held_out: PackedImages | None, features: str) -> str | None:
    """Why there can be no such metric here, as the rest of a sentence; None where there can."""
    if metric == "modes" and data.mixture is None and (data.channel_data is None or features != "cnn"):
        return "only ring, grid and stacked_mnist (with --features cnn) have modes to count"
    if metric == "score" and (features not in ("cnn", "inception") or (features == "cnn" and data.channel_data)):
        return "needs a feature network that knows classes of whole images"
    if metric == "classes" and (features != "cnn" or data.channel_data is not None):
        return "needs the classifier of --features cnn"
    if metric == "neighbours" and held_out is None:
        return "needs images that were not trained on: train with dataset.held_out=0.1"
    return None


def default_count(data: PackedImages) -> int:
    """As the published protocols draw for mixtures and for stacked MNIST."""
    return 2_500 if data.mixture is not None else 26_000 if data.channel_data is not None else 10_000


class Judge:
    """Holds what is asked of every generator of a run.

    `reals` is what samples are compared with: the training images, or those held out. Neighbours are always looked for
    among the training images `data`. Raises UserError for a metric that this data can't have.
    """

    def __init__(
        self,
        config: Config,
        data: PackedImages,
        held_out: PackedImages | None,
        reals: PackedImages,
        network: FeatureNetwork,
        metrics: Sequence[str],
    ) -> None:
        for metric in metrics:
            missing = missing_for(metric, data, held_out, network.name)
            if missing is not None:
                raise UserError(f"--metrics {metric}: {missing}")
        self._latent_dim, self._conditional = config.latent_dim, config.conditional
        self._data, self._network, self.metrics = data, network, tuple(metrics)
        self._labels = None if reals.labels is None else reals.labels.cpu()
        chosen = choose(len(reals.images), MOST_REALS)
        self.real_count = len(chosen)
        self._train: Tensor | None = None  # in the data's own order, which neighbours point into
        if "neighbours" in metrics:
            assert held_out is not None
            self._train = network.embed(data.images).features
            others = held_out.images[choose(len(held_out.images), MOST_NEIGHBOURS)]
            self._held_out_distances = find_nearest(network.embed(others).features, self._train).distances
        if self._train is not None and reals is data:
            self._real = self._train[chosen]
        else:
            self._real = network.embed(reals.images[chosen.to(reals.images.device)]).features

    def data_histogram(self) -> list[int] | None:
        """How often each class occurs in what samples are compared with."""
        if self._labels is None:
            return None
        return count_labels(self._labels, self._data.spec.num_classes).tolist()

    def sample(self, generator: nn.Module, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Samples and, in a conditional game, their labels: in the data's own proportions, mixed.

        Some scores look at the first samples only, or at one tenth after the other: sorted, those would lack classes.
        """
        labels = None
        if self._conditional:
            assert self._labels is not None
            places = torch.linspace(0, len(self._labels) - 1, count).round().long()
            labels = self._labels.sort().values[places][choose(count, count)]
        return draw(generator, self._latent_dim, count, seed, labels, self._data.spec), labels

    def measure(self, generator: nn.Module, count: int, seed: int) -> Measurement:
        """All scores of `count` samples drawn by `seed`. Raises UserError where they are too few, or not finite."""
        samples, _ = self.sample(generator, count, seed)
        fake = self._network.embed(samples)
        scores: dict[str, float] = {}
        nearest = None
        try:
            for metric in self.metrics:
                if metric == "neighbours":
                    assert self._train is not None
                    nearest = find_nearest(fake.features[:MOST_NEIGHBOURS], self._train)
                    found = compare_with_held_out(nearest.distances, self._held_out_distances)
                    scores |= dict(zip(METRICS[metric], found, strict=True))
                else:
                    scores |= self._score(metric, samples, fake, seed)
        except ValueError as error:
            raise UserError(f"--count {count}: {error}") from error
        return Measurement(scores, samples, fake, nearest)

    def _score(self, metric: str, samples: Tensor, fake: Embedding, seed: int) -> dict[str, float]:
        real = self._real
        if metric == "fid":
            return {"fid": frechet_distance(real, fake.features)}
        if metric == "kid":
            distance, spread = kernel_distance(real, fake.features, seed)
            return {"kid": distance, "kid_subset_sd": spread}
        if metric == "score":
            assert fake.logits is not None
            return {"score": class_score(fake.logits, seed).mean}
        if metric == "manifolds":
            equally_many = min(len(real), len(fake.features), MOST_IN_MANIFOLDS)
            return compare_manifolds(real[:equally_many], fake.features[:equally_many])._asdict()
        if metric == "classes":
            counts = count_labels(fake.labels, self._data.spec.num_classes)
            return {"class_kl": divergence(counts, torch.tensor(self.data_histogram()))}
        if self._data.mixture is not None:
            mixture = cover_mixture(samples.flatten(1), *self._data.mixture)
            return {"modes": mixture.modes, "high_quality": mixture.high_quality, "mode_kl": mixture.kl}
        stacked = cover_labels(join_digits(fake.labels), torch.ones(self._data.spec.num_classes))
        return {"modes": stacked.modes, "mode_kl": stacked.kl}


def choose(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count`, always the same ones, in an order that says nothing."""
    return torch.randperm(count, generator=Streams(0).at(0, "evaluation"))[:most]
