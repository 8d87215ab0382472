"""Random features: always the same ones, of any shape, and they see faults."""

import pickle

import pytest
import torch

from gan_exp.data.digits import digits
from gan_exp.data.packed import DataSpec, normalise
from gan_exp.evaluation.features.extractor import prepare
from gan_exp.evaluation.features.untrained import random_features
from gan_exp.metrics.distances import FrechetReference

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 40), (4, 64, 64), (3, 130, 90), (2, 3, 5)])
def test_any_shape_and_always_the_same(shape: tuple[int, int, int]) -> None:
    images = torch.randint(256, (5, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    first = random_features(DataSpec(shape), CPU)
    torch.manual_seed(2)
    again = pickle.loads(pickle.dumps(random_features(DataSpec(shape), CPU)))
    assert first.digest == again.digest
    found = first.embed(images)
    assert found.features.shape == (5, 128) and found.early is not None and found.early.shape == (5, 64)
    assert torch.equal(found.features, again.embed(images).features)


def test_a_worse_fault_is_farther_from_the_data() -> None:
    images = digits().images
    extractor = random_features(digits().spec, CPU)
    reference = FrechetReference(extractor.embed(images[:900]).features)
    noise = torch.randn(897, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    distances = [
        reference.distance(extractor.embed((images[900:] + strength * noise).clamp(0, 255).byte()).features)
        for strength in (0, 40, 80, 160)
    ]
    assert distances == sorted(distances) and distances[-1] > 3 * distances[0]


def test_colours_that_nobody_sees_change_nothing() -> None:
    images = torch.randint(256, (4, 4, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 3, :4] = 0
    other = images.clone()
    other[:, :3, :4] = 255
    assert torch.equal(prepare(images), prepare(other))
    assert torch.equal(prepare(images)[:, 3], normalise(images[:, 3]))
    gray = images[:, :1]
    assert torch.equal(prepare(gray), normalise(gray))
