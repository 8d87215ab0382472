import pytest
import torch

from gan_exp.data.packed import DataSpec, normalise
from gan_exp.evaluation.features.pixels import PROJECTIONS, pixel_features


def test_small_images_as_they_are() -> None:
    images = torch.randint(256, (10, 1, 8, 8), dtype=torch.uint8)
    network = pixel_features(DataSpec((1, 8, 8)))
    assert network.name == "pixels"
    assert torch.equal(network.embed(images, chunk=3).features, normalise(images).flatten(1))
    assert network.embed(images).logits is None


def test_projections_keep_distances() -> None:
    images = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = pixel_features(DataSpec((3, 32, 32)))
    features = network.embed(images).features
    assert features.shape == (40, PROJECTIONS)
    ratio = torch.pdist(features) / torch.pdist(normalise(images).flatten(1))
    assert ratio.mean().item() == pytest.approx(1, abs=0.05) and ratio.std() < 0.1
    again = pixel_features(DataSpec((3, 32, 32)))
    assert again.digest == network.digest and torch.equal(again.embed(images).features, features)
    assert pixel_features(DataSpec((3, 16, 64))).digest == network.digest  # as many values: the same directions
    assert pixel_features(DataSpec((1, 32, 32))).digest != network.digest


def test_points() -> None:
    network = pixel_features(DataSpec((2, 1, 1), extent=1.5))
    points = torch.randn(5, 2, 1, 1)
    assert network.name == "points"
    assert torch.equal(network.embed(points).features, points.flatten(1))
