"""Scores of a generator: the data's features once, then as many generators and seeds as one likes."""

import copy
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.features.network import Embedding, FeatureNetwork
from gan_exp.evaluation.reference import Reference
from gan_exp.evaluation.sampling import draw
from gan_exp.evaluation.yardstick import Yardstick
from gan_exp.metrics.checks import TooFewSamples
from gan_exp.metrics.modes import count_labels
from gan_exp.metrics.neighbours import K_NEAREST, Nearest, compare_with_held_out, find_nearest
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import stop_if_asked

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
LEAST_REALS = {"fid": 2, "kid": 2, "manifolds": K_NEAREST + 1}  # images to compare samples with
MOST_REALS = 50_000
MOST_NEIGHBOURS = 1_000
TRIAL = 256  # samples that tell how long the others will take


class Measurement(NamedTuple):
    scores: dict[str, float]  # by the names in METRICS
    samples: Tensor
    embedding: Embedding
    nearest: Nearest | None = None  # training images, of the first samples


def tag(score: str, features: str) -> str:
    """What a score is called in the space of a feature network."""
    return score if score in NAMED_ALONE else f"{score}_{features}"


def missing_for(
    metric: str,
    data: PackedImages,
    held_out: PackedImages | None,
    features: str,
    reals: PackedImages | None = None,
) -> str | None:
    """Why there can be no such metric here, as the rest of a sentence; None where there can.

    `reals` is what samples would be compared with, `data` unless it is told.
    """
    if metric == "modes" and data.mixture is None and (data.channel_data is None or features != "cnn"):
        return "only ring, grid and stacked_mnist (with --features cnn) have modes to count"
    if metric == "score" and (features not in ("cnn", "inception") or (features == "cnn" and data.channel_data)):
        return "needs a feature network that knows classes of whole images"
    if metric == "classes" and (features != "cnn" or data.channel_data is not None):
        return "needs the classifier of --features cnn"
    if metric == "neighbours" and held_out is None:
        return "needs images that were not trained on: train with dataset.held_out=0.1"
    count, least = len((reals or data).images), LEAST_REALS.get(metric, 1)
    if count < least:
        others = "training images: train on more"
        if reals is not None and reals is held_out:
            others = "held-out images: train with a larger dataset.held_out, or compare with --split train"
        return f"needs at least {least} images to compare with, and there are {count} {others}"
    return None


def default_count(data: PackedImages) -> int:
    """As the published protocols draw for mixtures and for stacked MNIST."""
    return 2_500 if data.mixture is not None else 26_000 if data.channel_data is not None else 10_000


class Evaluator:
    """Holds what is asked of every generator of a run.

    `reals` is what samples are compared with: the training images, or those held out. Neighbours are always looked for
    among the training images `data`. Raises UserError for a metric that this data can't have.
    """

    def __init__(
        self,
        latent_dim: int,
        conditional: bool,
        data: PackedImages,
        held_out: PackedImages | None,
        reals: PackedImages,
        network: FeatureNetwork,
        metrics: Sequence[str],
    ) -> None:
        for metric in metrics:
            missing = missing_for(metric, data, held_out, network.name, reals)
            if missing is not None:
                raise UserError(f"--metrics {metric}: {missing}")
        self._latent_dim, self._conditional = latent_dim, conditional
        self._data, self._held_out, self._reals, self.metrics = data, held_out, reals, tuple(metrics)
        self.network = network
        self._labels = None if reals.labels is None else reals.labels.cpu()
        self._chosen = choose(len(reals.images), MOST_REALS)
        self.real_count = len(self._chosen)
        self._train: Tensor | None = None  # in the data's own order, which neighbours point into
        if "neighbours" in metrics:
            assert held_out is not None
            self._train = network.embed(data.images).features
            others = held_out.images[choose(len(held_out.images), MOST_NEIGHBOURS)]
            self._held_out_distances = find_nearest(network.embed(others).features, self._train).distances
        if self._train is not None and reals is data:
            features = self._train[self._chosen]
        else:
            features = self._embed(self._chosen).features
        self._reference = Reference(data, features, self._histogram())

    def for_run(self, latent_dim: int, conditional: bool) -> "Evaluator":
        """The same for another run on the same data."""
        other = copy.copy(self)
        other._latent_dim, other._conditional = latent_dim, conditional
        return other

    def _embed(self, places: Tensor) -> Embedding:
        """Of the images that samples are compared with."""
        return self.network.embed(self._reals.images[places.to(self._reals.images.device)])

    def _histogram(self, places: Tensor | None = None) -> Tensor | None:
        if self._labels is None:
            return None
        return count_labels(self._labels if places is None else self._labels[places], self._data.spec.num_classes)

    def data_histogram(self) -> list[int] | None:
        """How often each class occurs in what samples are compared with."""
        histogram = self._reference.histogram
        return None if histogram is None else histogram.tolist()

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

    def seconds_a_sample(self, generator: nn.Module) -> float:
        """What making one and its features takes, by a small trial."""
        began = 0.0
        for _ in range(2):  # the first readies what the second needs
            began = time.perf_counter()
            self.network.embed(self.sample(generator, TRIAL, 0)[0])
        return (time.perf_counter() - began) / TRIAL

    def measure(self, generator: nn.Module, count: int, seed: int) -> Measurement:
        """All scores of `count` samples drawn by `seed`. Raises UserError where they are too few, or not finite."""
        samples, _ = self.sample(generator, count, seed)
        fake = self.network.embed(samples)
        scores: dict[str, float] = {}
        nearest = None
        try:
            for metric in self.metrics:
                stop_if_asked()
                if metric == "neighbours":
                    assert self._train is not None
                    nearest = find_nearest(fake.features[:MOST_NEIGHBOURS], self._train)
                    found = compare_with_held_out(nearest.distances, self._held_out_distances)
                    scores |= dict(zip(METRICS[metric], found, strict=True))
                else:
                    scores |= self._reference.score(metric, samples, fake, seed)
        except TooFewSamples as error:
            raise UserError(f"--count {count}: {error}") from error
        except ValueError as error:
            raise UserError(f"the samples can't be measured: {error}; try --checkpoint with an earlier one") from error
        return Measurement(scores, samples, fake, nearest)

    def yardstick(self, count: int) -> Yardstick:
        """What the data itself scores, other images of it in the place of `count` samples.

        Those are the held-out ones (the training images, where samples are compared with held-out ones); where nothing
        was held out one half of the data is compared with the other.
        """
        reference = self._reference
        if self._held_out is not None:
            others, name = (self._data, "training") if self._reals is self._held_out else (self._held_out, "held-out")
            images = others.images[choose(len(others.images), count).to(others.images.device)]
            fake, what = self.network.embed(images), f"{len(images):,} {name} images"
        else:
            first, second = self._chosen.tensor_split(2)
            images = self._reals.images[second[:count].to(self._reals.images.device)]
            fake, what = (
                self.network.embed(images),
                f"{len(images):,} of the training images against {len(first):,} others",
            )
            reference = Reference(self._data, reference.features[: len(first)], self._histogram(first))
        scores: dict[str, float] = {}
        for metric in self.metrics:
            if metric == "neighbours":
                median = self._held_out_distances.median().item()
                scores |= {"nearest": median, "nearest_held_out": median, "nearer": 0.01}  # as it is defined
                continue
            try:
                scores |= reference.score(metric, images.cpu(), fake, 0)
            except ValueError:  # so few images that there is no such number
                continue
        return Yardstick(scores, what, len(images))


def choose(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count`, always the same ones, in an order that says nothing."""
    return torch.randperm(count, generator=Streams(0).at(0, "evaluation"))[:most]
