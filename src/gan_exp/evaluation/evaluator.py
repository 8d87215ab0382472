"""Scores of generators: the data's features are computed once, then any number of generators and seeds is measured."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.availability import missing_for
from gan_exp.evaluation.data_scores import DataScores
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.kept import embed_real
from gan_exp.evaluation.progress import Progress
from gan_exp.evaluation.sampling import draw
from gan_exp.metrics.checks import TooFewSamples
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import MOST_IN_PANEL, MOST_NEIGHBOURS
from gan_exp.metrics.inputs import DiscriminatorLogits, MetricInputs, Reference
from gan_exp.metrics.metric import Metric, Need
from gan_exp.metrics.modes import count_labels
from gan_exp.metrics.neighbours import Nearest, find_nearest
from gan_exp.metrics.panel import PanelReference, first_of
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.room import in_float64
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.words import plural

MOST_REALS = 50_000
Embed = Callable[[FeatureExtractor, Tensor], Embedding]
TRIAL = 256  # samples whose time is measured to estimate that of all


class Measurement(NamedTuple):
    scores: dict[str, float]  # by name
    samples: Tensor
    embedding: Embedding
    nearest: Nearest | None = None  # the training images nearest to the first samples, where a metric needs them


def default_count(data: PackedImages) -> int:
    """As the published protocols draw for mixtures and for stacked MNIST."""
    return 2_500 if data.mixture is not None else 26_000 if data.channel_data is not None else 10_000


class Evaluator:
    """Measures the generators of all runs on one data set.

    Samples are compared with `reals`: the training images `data`, or those held out. Nearest neighbours are always
    looked for among the training images. `panel` are the extractors for a metric that needs several. Samples and
    features are made by all ranks of `division`; scores are computed on the device of the extractor, which holds none
    of the features between two measurements. Raises UserError for a metric that can't be measured on this data.
    """

    def __init__(
        self,
        latent_dim: int,
        conditional: bool,
        data: PackedImages,
        held_out: PackedImages | None,
        reals: PackedImages,
        extractor: FeatureExtractor,
        metrics: Sequence[Metric],
        panel: Sequence[FeatureExtractor] = (),
        division: Division | None = None,
    ) -> None:
        for metric in metrics:
            missing = missing_for(metric, data, held_out, extractor.name, reals)
            if missing is not None:
                raise UserError(f"--metrics {metric.name}: {missing}")
        self._latent_dim, self._conditional = latent_dim, conditional
        self._data, self._held_out, self._reals, self.metrics = data, held_out, reals, tuple(metrics)
        self.extractor = extractor
        self.division = division or Division()
        self.panel = tuple(panel)
        self._labels = None if reals.labels is None else reals.labels.cpu()
        self._chosen = choose(len(reals.images), MOST_REALS)
        self.real_count = len(self._chosen)
        train: Embedding | None = None
        self._train: Tensor | None = None  # features in the order of the training images, which `nearest` points into
        distances: Tensor | None = None
        if any(Need.HELD_OUT in metric.needs for metric in metrics):
            assert held_out is not None
            train = self._embed_real(extractor, data.images)
            self._train = train.features
            others = held_out.images[choose(len(held_out.images), MOST_NEIGHBOURS)]
            distances = self._find_nearest(self._embed_real(extractor, others).features).distances
        if train is None or reals is not data:
            self._real = self._embed_real(extractor, self._real_images())
        else:
            self._real = train.select(self._chosen)
        self._reference = Reference(self._real.features, self._histogram(), data.mixture, distances)

    def for_run(self, latent_dim: int, conditional: bool) -> "Evaluator":
        """The same evaluator for another run on the same data."""
        other = copy.copy(self)
        other._latent_dim, other._conditional = latent_dim, conditional
        return other

    def _embed_real(self, extractor: FeatureExtractor, images: Tensor) -> Embedding:
        return embed_real(extractor, images, self.division.embed)

    def _real_images(self) -> Tensor:
        """Those that samples are compared with."""
        return self._reals.images[self._chosen.to(self._reals.images.device)]

    def _embed_by_panel(
        self, images: Tensor, known: Embedding | None = None, embed: Embed | None = None
    ) -> dict[str, Embedding]:
        """The panel's embeddings by the extractors' names; `known` is that of the evaluator's own extractor."""
        embed = embed or self.division.embed
        return {
            member.name: known if known is not None and member.name == self.extractor.name else embed(member, images)
            for member in self.panel
        }

    def _complete_reference(self) -> None:
        """The data's side of the panel, at the first measurement."""
        if self._reference.panel is None and self.panel:
            others, _, halved = self._other_reals(MOST_IN_PANEL)
            count = self.real_count if halved is None else len(halved)
            real = self._embed_by_panel(self._real_images()[:count], self._real.first(count), self._embed_real)
            own = self._embed_by_panel(others, embed=self._embed_real)
            self._reference.panel = in_float64(self.extractor.device, partial(PanelReference, real, own))

    def _find_nearest(self, features: Tensor) -> Nearest:
        """The training images nearest to these."""
        assert self._train is not None
        train = self._train
        return in_float64(
            self.extractor.device, lambda device: find_nearest(features.to(device), train.to(device)).cpu()
        )

    def _histogram(self, places: Tensor | None = None) -> Tensor | None:
        if self._labels is None:
            return None
        return count_labels(self._labels if places is None else self._labels[places], self._data.spec.num_classes)

    def data_histogram(self) -> list[int] | None:
        """How often each class occurs in what samples are compared with."""
        histogram = self._reference.class_counts
        return None if histogram is None else histogram.tolist()

    def sample(self, generator: nn.Module, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Samples and, of a conditional generator, their labels: in the data's own proportions and in random order.

        Some scores use the first samples only, or each tenth of them on its own; sorted ones would lack classes there.
        """
        labels = None
        if self._conditional:
            assert self._labels is not None
            places = torch.linspace(0, len(self._labels) - 1, count).round().long()
            labels = self._labels.sort().values[places][choose(count, count)]
        return draw(generator, self._latent_dim, count, seed, labels, self._data.spec, self.division), labels

    def seconds_a_sample(self, generator: nn.Module) -> float:
        """The time to make one sample and its features, from a small trial."""
        began = 0.0
        for _ in range(2):  # the first is slower: caches are empty
            began = time.perf_counter()
            samples = self.sample(generator, TRIAL, 0)[0]
            self._embed_by_panel(samples, self.division.embed(self.extractor, samples))
        return (time.perf_counter() - began) / TRIAL

    def measure(
        self,
        generator: nn.Module,
        count: int,
        seed: int,
        discriminator: Callable[[Tensor], DiscriminatorLogits] | None = None,
    ) -> Measurement:
        """All scores of `count` samples drawn by `seed`. Raises UserError where they are too few, or not finite.

        `discriminator` gives its logits, these samples' among them; without it, metrics that need it are left out.
        """
        samples, _ = self.sample(generator, count, seed)
        embedding = self.division.embed(self.extractor, samples)
        panel = self._embed_by_panel(samples[:MOST_IN_PANEL], embedding.first(MOST_IN_PANEL))
        metrics = self.comparing if discriminator is None else self.metrics
        scores: dict[str, float] = {}
        nearest = None
        try:
            if self._train is not None:
                nearest = self._find_nearest(embedding.features[:MOST_NEIGHBOURS])
            logits = None if discriminator is None or metrics == self.comparing else discriminator(samples)
            self._complete_reference()
            inputs = MetricInputs(samples, embedding, seed, self._reference, nearest, logits, panel)
            progress = Progress(self.division.say, f"scores of {len(samples):,} samples", len(metrics))
            for number, metric in enumerate(metrics, start=1):
                stop_if_asked()
                scores |= self._measured(metric, inputs)
                progress(number)
        except TooFewSamples as error:
            raise UserError(f"--count {count}: {error}") from error
        except ValueError as error:
            raise UserError(f"the samples can't be measured: {error}; try --checkpoint with an earlier one") from error
        return Measurement(scores, samples, embedding, nearest)

    def _measured(self, metric: Metric, inputs: MetricInputs) -> dict[str, float]:
        found = in_float64(self.extractor.device, lambda device: metric.measure(replace(inputs, device=device)))
        return _scores(metric, found)

    @property
    def comparing(self) -> tuple[Metric, ...]:
        """The metrics that compare samples with data, and so have a score of the data itself."""
        return tuple(metric for metric in self.metrics if Need.DISCRIMINATOR not in metric.needs)

    def _other_reals(self, count: int) -> tuple[Tensor, str, Tensor | None]:
        """At most `count` real images to measure in the place of samples, and which they are.

        Where nothing was held out, they are of the second half; then also the indices of the first, to compare with.
        """
        if self._held_out is not None:
            others, name = (self._data, "training") if self._reals is self._held_out else (self._held_out, "held-out")
            images = others.images[choose(len(others.images), count).to(others.images.device)]
            return images, plural(len(images), f"{name} image"), None
        first, second = self._chosen.tensor_split(2)
        images = self._reals.images[second[:count].to(self._reals.images.device)]
        return images, f"{len(images):,} of the training images against {len(first):,} others", first

    def data_scores(self, count: int) -> DataScores:
        """The data's own scores: other real images are measured in the place of `count` samples.

        These are the held-out images (the training images, where samples are compared with held-out ones); where
        nothing was held out, one half of the data is compared with the other.
        """
        images, what, first = self._other_reals(count)
        self._complete_reference()
        reference = self._reference
        if first is not None:
            features, histogram = reference.features[: len(first)], self._histogram(first)
            reference = Reference(features, histogram, self._data.mixture, panel=reference.panel)
        embedding = self._embed_real(self.extractor, images)
        # The panel's reference has seen these images, or more of the same in the same order.
        panel = {} if reference.panel is None else first_of(reference.panel.own, len(images))
        inputs = MetricInputs(images.cpu(), embedding, 0, reference, panel=panel)
        scores: dict[str, float] = {}
        for metric in self.comparing:
            if metric.data_scores is not None:
                scores |= _scores(metric, metric.data_scores(reference))
            elif Need.HELD_OUT not in metric.needs:  # those images have no neighbours of their own
                with suppress(ValueError):  # there are too few images for such a number
                    scores |= self._measured(metric, inputs)
        return DataScores(scores, what, len(images))


def _scores(metric: Metric, found: Mapping[str, float]) -> dict[str, float]:
    """The scores that the metric's function returned, as numbers. Raises UserError if its entry doesn't name them."""
    names = [score.name for score in metric.scores]
    if not isinstance(found, Mapping) or not set(found) <= set(names):
        given = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise UserError(f"{metric.name}: its function returned {given}; it must return a dict of {', '.join(names)}")
    return {name: value.item() if isinstance(value, Tensor) else value for name, value in found.items()}


def choose(count: int, most: int) -> Tensor:
    """Indices of at most `most` of `count`: always the same ones, in a random order."""
    return torch.randperm(count, generator=Streams(0).at(0, "evaluation"))[:most]
