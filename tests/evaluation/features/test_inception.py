"""Inception with random weights: the standard ones are not to be had without a network, their arithmetic is."""

import urllib.error
from functools import cache
from pathlib import Path

import pytest
import torch
import torch_fidelity
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3 as theirs

from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.inception import inception_features
from gan_exp.metrics.distances import class_score, kernel_distance

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
RGB = DataSpec((3, 32, 32))
NAME = theirs.URL_INCEPTION_V3.rpartition("/")[2]


class Images(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))  # set_dir has no way back to "nothing was set"
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: drawing them takes seconds."""
    path = tmp_path_factory.mktemp("hub") / "checkpoints" / NAME
    path.parent.mkdir()
    torch.save({}, path)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        module = theirs.FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(path))
    nn.init.normal_(module.fc.weight, std=0.1)
    torch.save(module.state_dict(), path)
    return path


@pytest.fixture
def weights(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps the standard ones."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(random_weights.parents[1]))
    return random_weights


@cache
def extractor(channels: int) -> FeatureExtractor:
    """With the random weights; reading them takes a second."""
    return inception_features(DataSpec((channels, 32, 32)), CPU)


def test_scores_are_those_of_torch_fidelity(weights: Path) -> None:
    """Images through our batches and metrics, and through its own from beginning to end.

    Without FID, whose root of 2,048 x 2,048 numbers takes it ten seconds: `test_distances.py` compares its formula.
    """
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(low, 256, (10, 3, 32, 32), dtype=torch.uint8, generator=generator) for low in (0, 100))
    network = extractor(3)
    ours, others = network.embed(real, chunk=5), network.embed(fake, chunk=10)
    expected = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        feature_extractor_weights_path=str(weights),
        isc=True, isc_splits=1, kid=True, kid_subset_size=10, cuda=False, cache=False, verbose=False,
        batch_size=10, save_cpu_ram=True,
    )  # fmt: skip
    kid = kernel_distance(ours.features, others.features, seed=0)
    assert kid.mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert others.logits is not None
    score = class_score(others.logits, seed=2020)  # torch-fidelity's own seed
    assert score.mean == pytest.approx(expected["inception_score_mean"], rel=1e-5)


def test_gray_images_and_the_digest(weights: Path) -> None:
    gray = torch.randint(256, (1, 1, 16, 16), dtype=torch.uint8)
    network, other = extractor(1), extractor(3)
    assert torch.equal(network.embed(gray).features, other.embed(gray.expand(-1, 3, -1, -1).contiguous()).features)
    assert network.digest == other.digest and network.name == "inception"


def test_images_that_it_cannot_take(hub: Path) -> None:
    with pytest.raises(UserError, match="takes gray, RGB and RGBA images, not 2 channels"):
        inception_features(DataSpec((2, 32, 32)), CPU)
    with pytest.raises(UserError, match="these are points, not images"):
        inception_features(DataSpec((2, 1, 1), extent=1.0), CPU)


def test_without_a_network(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UserError) as caught:
        inception_features(RGB, CPU)
    sentence = str(caught.value)
    assert "can't be downloaded (<urlopen error no route to host>)" in sentence
    assert f"place {NAME} by hand in {hub}" in sentence and "--features cnn, ssl or pixels" in sentence


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04"])
def test_broken_weights(content: bytes, hub: Path) -> None:
    hub.mkdir()
    (hub / NAME).write_bytes(content)
    with pytest.raises(UserError, match="are not Inception's weights; remove the file"):
        inception_features(RGB, CPU)


def test_transparent_images_lie_on_white(weights: Path) -> None:
    opaque = torch.randint(256, (3, 4, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    opaque[:, 3] = 255
    clear = opaque.clone()
    clear[:, 3] = 0
    network, of_rgb = extractor(4), extractor(3)
    assert network.about["ground"] == "white behind what is transparent" and "ground" not in of_rgb.about
    assert torch.equal(network.embed(opaque).features, of_rgb.embed(opaque[:, :3]).features)
    assert torch.equal(network.embed(clear).features, of_rgb.embed(torch.full_like(opaque[:, :3], 255)).features)
