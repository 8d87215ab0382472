"""The network that learns without labels: its views, its loss, and that it tells digits apart without their names."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.choice import build_panel, usual_features
from gan_exp.evaluation.features.contrastive import Contrastive, view
from gan_exp.evaluation.features.learning import SSL
from gan_exp.evaluation.features.trained import trained_features
from gan_exp.metrics.entries import PANEL

CPU = torch.device("cpu")


def test_neighbours_in_its_features_are_of_the_same_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more often than by chance, after a twentieth of its training, from which labels are withheld."""
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path))
    data = digits()
    assert data.labels is not None
    extractor = trained_features(SSL, PackedImages(data.images), None, CPU, lambda line: None, images=4000)
    features = extractor.embed(data.images).features
    features = normalize(features - features.mean(dim=0))
    nearest = (features @ features.T).fill_diagonal_(-1).argmax(dim=1)
    assert (data.labels[nearest] == data.labels).double().mean() > 0.85
    assert not extractor.knows_classes and extractor.about["what"].endswith("trained on this data by this tool")


def test_views_leave_transparent_places_without_colour() -> None:
    clear = torch.zeros(6, 4, 16, 16)
    clear[:, 3] = -1
    seen = view(clear, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen, clear)
    clear[:, 3] = 1
    assert view(clear, torch.Generator().manual_seed(0))[:, :3].abs().max() > 0.1


def test_the_loss_is_least_where_each_view_finds_its_other(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = Contrastive((1, 8, 8))
    drawn = network.loss(images, torch.Generator().manual_seed(0)).item()
    monkeypatch.setattr("gan_exp.evaluation.features.contrastive.view", lambda images, rng: images)
    assert network.loss(images, torch.Generator()).item() < drawn


def test_images_without_labels_have_a_panel_of_their_own(quick_classifier: None) -> None:
    data = PackedImages(digits().images)
    assert (usual_features(data), usual_features(digits())) == ("ssl", "cnn")
    panel = build_panel([PANEL], data, None, CPU, lambda line: None)
    assert [member.name for member in panel] == ["ssl", "autoencoder", "random", "pixels"]
