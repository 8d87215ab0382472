"""Scores are computed where the features are: on a GPU, as far as it has room. Here it is a pretended one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages, normalise
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.generators.neighbours import TrainingImages
from gan_exp.metrics.distances import class_score
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import FID, KID, MANIFOLDS, NEIGHBOURS, PANEL
from gan_exp.metrics.inputs import MetricInputs
from gan_exp.metrics.metric import Metric, Score
from pretend_gpu import GPU, PretendGpu

CPU = torch.device("cpu")
PIXELS = 64  # of a digit


@pytest.fixture
def gpu() -> Iterator[PretendGpu]:
    with PretendGpu() as found:
        yield found


class Replay(nn.Module):
    """Makes some of the data's images, faintly changed."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = nn.Parameter(normalise(images), requires_grad=False)

    def forward(self, latents: Tensor) -> Tensor:
        return self.images[(latents[:, 0].abs() * 1e6).long() % len(self.images)] * 0.9


def darker(images: Tensor) -> Embedding:
    return Embedding(images.flatten(1).float() / 300)


def some_digits() -> tuple[PackedImages, PackedImages]:
    return PackedImages(digits().images[:400]).split_by_hash(0.3)


def evaluator_on(device: torch.device, *metrics: Metric) -> Evaluator:
    data, held_out = some_digits()
    extractor = replace(pixel_features(data.spec, device), name="ssl")  # a panel compares in the usual features alone
    panel = (extractor, FeatureExtractor("mlp", "", darker, device)) if PANEL in metrics else ()
    return Evaluator(2, False, data, held_out, data, extractor, metrics, panel)


def scores_on(device: torch.device) -> dict[str, float]:
    evaluator = evaluator_on(device, FID, KID, PANEL, MANIFOLDS, NEIGHBOURS)
    measured = evaluator.measure(Replay(some_digits()[0].images), 150, seed=0)
    assert measured.embedding.features.device == CPU and measured.nearest is not None
    assert measured.nearest.indices.device == CPU
    return {**measured.scores, **{f"data {name}": value for name, value in evaluator.data_scores(60).scores.items()}}


def test_the_scores_of_a_gpu_are_those_of_a_cpu() -> None:
    """Only features, as the CPU keeps them, and small results leave the GPU; no two devices meet in an operation."""
    expected = scores_on(CPU)
    with PretendGpu() as gpu:
        found = scores_on(GPU)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6) and len(found) > 20
    in_float64 = [shape for shape, dtype in gpu.fetched if dtype == torch.float64]
    assert (PIXELS, PIXELS) in in_float64  # covariances, to be taken apart
    assert all(len(shape) < 2 or shape == (PIXELS, PIXELS) for shape in in_float64), in_float64


def test_the_neighbours_of_a_gpu_are_those_of_a_cpu() -> None:
    data, held_out = some_digits()
    found: list[list[Tensor]] = []
    for device, within in ((CPU, torch.no_grad()), (GPU, PretendGpu())):
        with within:  # type: ignore[attr-defined]
            training = TrainingImages(data, held_out, pixel_features(data.spec, device))
            among = TrainingImages(data, None, pixel_features(data.spec, device)).yardstick()
            nearest = training.nearest(held_out.images, 3)
            found.append([*nearest, training.relative(nearest), training.yardstick().relative, among.relative])
    for expected, value in zip(*found, strict=True):
        assert type(value) is Tensor and torch.equal(expected, value)


def test_the_class_score_of_a_gpu_is_that_of_a_cpu() -> None:
    logits = torch.randn(300, 10, generator=torch.Generator().manual_seed(0))
    expected = class_score(logits, 0)
    with PretendGpu():
        assert class_score(logits.to(GPU), 0) == pytest.approx(expected)


def test_projections_of_pixels_are_made_there(gpu: PretendGpu) -> None:
    """And an extractor that goes to another process brings nothing of the GPU's with it."""
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    spec = PackedImages(images).spec
    here, there = pixel_features(spec), pixel_features(spec, GPU)
    assert there.digest == here.digest
    assert torch.equal(there.embed(images).features, here.embed(images).features)
    assert torch.equal(there.moved("cpu").embed(images).features, here.embed(images).features)


def test_without_room_the_cpu_computes(gpu: PretendGpu) -> None:
    """An evaluation must not end the training that left it no room."""

    def crowded(inputs: MetricInputs) -> dict[str, Any]:
        if inputs.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"own": inputs.embedding.features.mean().item()}

    own = Metric("own", (Score("own", "a mean", None),), crowded)
    evaluator = evaluator_on(GPU, own)
    measure = partial(evaluator.measure, Replay(some_digits()[0].images), 150, seed=0)
    assert set(measure().scores) == {"own"}
