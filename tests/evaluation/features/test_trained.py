"""The networks that make features: what they learn, and that the cache of each is trained once, whole and its own."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from forked import Forked
from gan_exp.data.digits import digits
from gan_exp.data.packed import DataSpec, PackedImages, normalise
from gan_exp.errors import UserError
from gan_exp.evaluation.features import networks
from gan_exp.evaluation.features.extractor import FeatureExtractor, prepare
from gan_exp.evaluation.features.learning import (
    AUTOENCODER,
    CNN,
    DENSE,
    LENET,
    SSL,
    Design,
    accuracy,
    shift,
    shrunk,
    train,
)
from gan_exp.evaluation.features.networks import Autoencoder
from gan_exp.evaluation.features.trained import _Extract, trained_features
from gan_exp.evaluation.features.untrained import random_features
from gan_exp.metrics.embedding import Embedding
from waiting import LONGEST_WAIT_S

CPU = torch.device("cpu")
IMAGES = 8000
DESIGNS = (CNN, LENET, DENSE, AUTOENCODER, SSL)


@pytest.fixture(autouse=True)
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("gan_exp.evaluation.progress.EVERY_S", float("inf"))  # lines that only a slow machine sees
    return tmp_path / "cache"


@cache
def few() -> PackedImages:
    data = digits()
    assert data.labels is not None
    return replace(data, images=data.images[:300], labels=data.labels[:300], known_digest=None)


def features(data: PackedImages, images: int = 200, design: Design = CNN) -> tuple[FeatureExtractor, list[str]]:
    said: list[str] = []
    return trained_features(design, data, None, CPU, said.append, images), said


@pytest.mark.parametrize(("design", "least"), [(CNN, 0.9), (LENET, 0.85), (DENSE, 0.8)], ids=["cnn", "lenet", "mlp"])
def test_learns_the_embedded_digits(design: Design, least: float) -> None:
    """In a twentieth of the usual time far more than chance; the accuracy reported is that of the images held out."""
    network, said = features(digits(), IMAGES, design)
    assert network.about["accuracy"] > least
    assert said[1].startswith(
        f"feature extractor {design.name}: {network.about['accuracy']:.2%} of {network.about['accuracy_is_of']}"
    )
    held_out = digits().split_by_hash(0.1)[1]
    assert network.about["accuracy_is_of"] == len(held_out.images)
    assert (network.embed(held_out.images).labels == held_out.labels).double().mean() == network.about["accuracy"]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_trained_once(design: Design, cached: Path) -> None:
    first, said = features(few(), design=design)
    again, said_again = features(few(), design=design)
    assert len(said) == 2 and said_again == []
    assert ": (" not in said[1]  # without labels there is no accuracy to tell
    assert first.digest == again.digest
    assert torch.equal(first.embed(few().images).features, again.embed(few().images).features)
    next(cached.glob("*.safetensors")).unlink()
    assert features(few(), design=design)[0].digest == first.digest  # trained anew, to the same weights
    other = replace(few(), images=few().images.flip(0), known_digest=None)
    assert features(other, design=design)[0].digest != first.digest


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another"])
def test_a_damaged_file_is_trained_anew(damage: str, cached: Path) -> None:
    first, _ = features(few())
    path = next(cached.glob("*.safetensors"))
    whole = path.read_bytes()
    content = {"cut": whole[:-5], "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "empty": b""}
    path.write_bytes(content.get(damage, b"\x08\0\0\0\0\0\0\0{}      "))
    again, said = features(few())
    assert len(said) == 2 and again.digest == first.digest and path.read_bytes() == whole


@pytest.mark.slow
def test_two_at_once(cached: Path, tmp_path: Path) -> None:
    """One trains, the other waits for it; both have the same."""

    def train() -> int:
        print(trained_features(CNN, digits(), None, CPU, images=500).digest)
        return 0

    processes = [Forked(train, tmp_path) for _ in range(2)]
    printed = [process.communicate(LONGEST_WAIT_S)[0].splitlines() for process in processes]
    assert printed[0][-1] == printed[1][-1]
    assert sum(line.startswith("training") for lines in printed for line in lines) >= 1
    assert len(list(cached.glob("*.safetensors"))) == 1


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_batched_equals_whole(design: Design) -> None:
    network, _ = features(few(), design=design)
    whole, parts = network.embed(few().images, chunk=1000), network.embed(few().images, chunk=7)
    sent = pickle.loads(pickle.dumps(network.moved("cpu")))  # as to another process
    assert torch.equal(sent.embed(few().images, chunk=7).features, parts.features)
    torch.testing.assert_close(parts.features, whole.features)
    torch.testing.assert_close(parts.logits, whole.logits)
    torch.testing.assert_close(parts.early, whole.early)


def test_channels_that_are_images_of_their_own() -> None:
    """As stacked_mnist: each channel by the classifier of one."""
    single, _ = features(few())
    stacked = PackedImages(few().images[:30, 0].view(10, 3, 8, 8), channel_data=few())
    network, said = features(stacked)
    assert said == [] and network.digest == single.digest
    found, expected = network.embed(stacked.images), single.embed(few().images[:30])
    assert found.logits is not None and found.logits.shape == (10, 3, 10)
    assert torch.equal(found.labels.flatten(), expected.labels)
    torch.testing.assert_close(found.features, expected.features.view(10, -1))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (4, 9, 40), (2, 3, 5), (3, 64, 64), (1, 100, 70)])
def test_any_shape(shape: tuple[int, int, int]) -> None:
    for design in DESIGNS:
        network = design.make(shape, 7).eval()
        found = network(torch.randn(2, *shape))
        assert found.features.shape[0] == 2 and 64 <= found.features.shape[1] <= 128
        assert found.early is not None and found.early.shape[0] == 2 and found.early.ndim == 2
        assert not design.labels or found.logits.shape == (2, 7)


def test_training_moves_images_by_whole_pixels() -> None:
    images = torch.arange(28.0 * 28).view(1, 1, 28, 28).expand(200, 1, 28, 28)
    moved = shift(images, torch.Generator().manual_seed(0))
    offsets = (moved[:, 0, 14, 14] - images[:, 0, 14, 14]).unique()
    assert sorted(offsets.tolist()) == sorted(28 * y + x for y in range(-2, 3) for x in range(-2, 3))
    assert torch.equal(moved[0, 0, 3, 4:24] - moved[0, 0, 3, 4], torch.arange(20.0))


def test_large_images_are_averaged_down_before_training() -> None:
    large = PackedImages(few().images.repeat_interleave(5, 2).repeat_interleave(5, 3).repeat(1, 3, 1, 1))
    network = Autoencoder(large.image_shape)
    small = shrunk(large, network.shrink)
    assert large.image_shape == (3, 40, 40) and small.image_shape == (3, 20, 20)
    found, expected = (network(normalise(data.images[:5])) for data in (small, large))
    torch.testing.assert_close(found.features, expected.features, atol=0.02, rtol=0)  # bytes are rounded
    assert shrunk(few(), Autoencoder(few().image_shape).shrink) is few()
    told = features(large, images=100, design=AUTOENCODER)[0].embed(large.images[:3])
    assert told.features.shape == (3, 64) and told.logits is None


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("extractor", [*DESIGNS, None], ids=lambda design: design.name if design else "random")
def test_features_of_large_images_are_those_of_all_at_once(
    extractor: Design | None, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, though the images become floats a few at a time, before they are averaged down."""
    images = torch.randint(256, (70, channels, 80, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if extractor is None:
        extract: Callable[[Tensor], Embedding] = random_features(DataSpec((channels, 80, 72)), CPU).extract
    else:
        extract = _Extract(extractor.make((channels, 80, 72), 7).eval(), by_channel=False)
    sizes: list[int] = []

    def few_at_once(part: Tensor) -> Tensor:
        sizes.append(len(part))
        return prepare(part)

    monkeypatch.setattr(networks, "prepare", few_at_once)
    with torch.no_grad():
        found = extract(images)
        monkeypatch.setattr(networks, "at_once", lambda shape: len(images))
        whole = extract(images)
    assert sizes == [32, 32, 6, 70]
    for some, all_at_once in zip(found, whole, strict=True):
        assert (some is None and all_at_once is None) or torch.equal(some, all_at_once)


def test_training_leaves_the_global_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    network = train(CNN, few(), CPU, images=100)
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training and 0 <= accuracy(network, few(), CPU) <= 1


def test_data_without_labels() -> None:
    with pytest.raises(UserError, match="the data has no labels to learn from; use --features ssl"):
        features(PackedImages(few().images))


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"^GAN_EXP_CACHE=.*: can't be written \("):
        features(few())
