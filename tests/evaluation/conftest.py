"""A classifier that has learned for a moment, kept for all tests of a process."""

from typing import Any

import pytest
import torch

from gan_exp.evaluation import features
from gan_exp.features import cnn
from gan_exp.features.network import FeatureNetwork


@pytest.fixture(autouse=True)
def quick_classifier(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(data: Any, held_out: Any, device: torch.device, tell: Any) -> FeatureNetwork:
        return cnn.cnn_features(data, held_out, device, tell, images=500)

    monkeypatch.setattr(features, "cnn_features", build)
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path_factory.getbasetemp() / "features"))
