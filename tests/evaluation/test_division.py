"""Samples, features and scores are the same whether one process makes them or several do."""

import pickle
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_exp.data.digits import digits
from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.evaluation import division as module
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.sampling import Sampler, draw
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import FID
from gan_exp.models.mlp import MLPGenerator
from gan_exp.runtime import signals
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.signals import Abandoned
from threaded_ranks import in_threads

SPEC = DataSpec((1, 8, 8), num_classes=10)


class Sides(nn.Module):
    """Features, logits and early ones of images, of a network with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 5)

    def forward(self, images: Tensor) -> Embedding:
        found = self.layer(images.flatten(1).float())
        return Embedding(found, found.relu(), None)


EXTRACTOR = FeatureExtractor("sides", "0", Sides())
GENERATOR = MLPGenerator(6, (1, 8, 8), widths=(8,), num_classes=10).eval()


def led(count: int, lead: Callable[[Division], Any], generator: nn.Module = GENERATOR) -> Any:
    """What `lead` returns in rank 0, while the others serve."""

    def run(ranks: Ranks) -> Any:
        division = Division(ranks)
        if not ranks.first:
            return division.serve(Sampler(generator, SPEC))
        with division.leading():
            return lead(division)

    return in_threads(count, run)[0]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("images", [5, 256, 257, 1300])
def test_features_to_the_last_bit(images: int, count: int) -> None:
    whole = torch.randint(256, (images, 1, 8, 8), dtype=torch.uint8)

    def lead(division: Division) -> list[Embedding]:
        return [division.embed(EXTRACTOR, whole), division.embed(EXTRACTOR, whole.flip(0))]

    for found, expected in zip(led(count, lead), (whole, whole.flip(0)), strict=True):
        features, logits, early = EXTRACTOR.embed(expected)
        assert torch.equal(found.features, features) and torch.equal(found.logits, logits)
        assert found.early is early is None


@pytest.mark.parametrize("labelled", [False, True])
def test_samples_to_the_last_bit(labelled: bool) -> None:
    generator = GENERATOR if labelled else MLPGenerator(6, (1, 8, 8), widths=(8,)).eval()
    labels = torch.arange(700) % 10 if labelled else None
    found = led(2, lambda division: draw(generator, 6, 700, 3, labels, SPEC, division), generator)
    assert torch.equal(found, draw(generator, 6, 700, 3, labels, SPEC))


def test_the_work_is_divided_and_an_extractor_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, sent = [], []
    embed, moved = FeatureExtractor.embed, FeatureExtractor.moved
    monkeypatch.setattr(
        FeatureExtractor, "embed", lambda self, images, **told: (sizes.append(len(images)), embed(self, images))[1]
    )
    monkeypatch.setattr(FeatureExtractor, "moved", lambda self, device: (sent.append(device), moved(self, device))[1])
    whole = torch.zeros(1300, 1, 8, 8, dtype=torch.uint8)

    def lead(division: Division) -> None:
        for _ in range(2):
            division.embed(EXTRACTOR, whole)

    led(3, lead)
    assert sorted(sizes) == sorted(2 * [512, 512, 276]) and len(sent) == 3  # packed by rank 0, unpacked by two


def test_the_scores_of_an_evaluation() -> None:
    data = digits()
    data = PackedImages(data.images, data.labels, data.classes)

    def measure(division: Division) -> dict[str, float]:
        evaluator = Evaluator(6, True, data, None, data, pixel_features(data.spec), (FID,), (), division)
        return evaluator.measure(GENERATOR, 600, 0).scores

    assert led(2, measure) == led(1, measure)


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_signal_to_one_rank_ends_it_in_all(stopped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_stop", signals._Stop(abandons=True))
    monkeypatch.setattr(module, "asked_to_stop", lambda: signal.SIGTERM)

    def run(ranks: Ranks) -> None:
        def sampler(latents: Tensor, labels: Tensor | None) -> Tensor:
            if ranks.rank == stopped:
                raise Abandoned
            return latents

        division = Division(ranks)
        if ranks.first:
            with division.leading(), pytest.raises(Abandoned):
                division.draw(sampler, torch.zeros(600, 3), None)
        else:
            division.serve(sampler)

    in_threads(3, run)
    assert signals._stop.received == signal.SIGTERM


@pytest.mark.parametrize("failing", [0, 2])
def test_a_failure_in_one_rank_leaves_no_other_waiting(failing: int) -> None:
    def run(ranks: Ranks) -> None:
        def sampler(latents: Tensor, labels: Tensor | None) -> Tensor:
            if ranks.rank == failing:
                raise MemoryError("no room")
            return latents

        division = Division(ranks)
        expected = pytest.raises((MemoryError, RuntimeError), match=r"no room|another process")
        if ranks.first:
            with expected:
                division.draw(sampler, torch.zeros(600, 3), None)
        else:
            with expected:
                division.serve(sampler)

    in_threads(3, run)


def test_extractors_can_be_sent() -> None:
    for spec in (DataSpec((1, 8, 8)), DataSpec((3, 32, 32)), DataSpec((1, 1, 2), extent=1.0)):
        extractor = pixel_features(spec)
        again = pickle.loads(pickle.dumps(extractor))
        images = torch.rand(3, *spec.image_shape)
        assert torch.equal(again.embed(images).features, extractor.embed(images).features)
