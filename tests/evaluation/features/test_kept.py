"""Embeddings of real images that are kept: the same to the last bit, whatever happened to the files."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features import kept
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.kept import embed_real
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import FID, PANEL


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "WORTH_KEEPING_S", 0.0)
    return tmp_path / "cache"


IMAGES = torch.randint(256, (40, 1, 3, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Counting:
    """A feature extractor that counts the images it sees."""

    def __init__(self, digest: str = "1", logits: bool = True) -> None:
        self.seen = 0
        self.extractor = FeatureExtractor("some", digest, self._extract)
        self._logits = logits

    def _extract(self, images: Tensor) -> Embedding:
        self.seen += len(images)
        flat = images.flatten(1).float() / 7
        return Embedding(flat.sin(), flat[:, :3].cos().reshape(-1, 3, 1) if self._logits else None, flat.mean(1, True))


def assert_equal(first: Embedding, second: Embedding) -> None:
    for one, other in zip(first, second, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)


@pytest.mark.parametrize("logits", [True, False])
def test_computed_once(logits: bool, cache: Path) -> None:
    """Another process finds it: nothing is kept in memory. Others are told apart."""
    first, again, other = Counting(logits=logits), Counting(logits=logits), Counting("2")
    expected = first.extractor.embed(IMAGES)
    assert_equal(embed_real(first.extractor, IMAGES), expected)
    assert_equal(embed_real(again.extractor, IMAGES), expected)
    assert (first.seen, again.seen) == (80, 0)
    embed_real(again.extractor, IMAGES.flip(0))
    embed_real(again.extractor, IMAGES[:39])
    embed_real(again.extractor, IMAGES.reshape(40, 1, 4, 3))
    embed_real(other.extractor, IMAGES)
    assert (again.seen, other.seen) == (119, 40) and len(list(cache.iterdir())) == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-50],
        lambda content: content[:-50] + bytes([content[-50] ^ 1]) + content[-49:],
        lambda content: b"nonsense" * 100,
    ],
    ids=["empty", "truncated", "a flipped bit", "nonsense"],
)
def test_a_damaged_file_is_replaced(damage: Callable[[bytes], bytes], cache: Path) -> None:
    counting = Counting()
    expected = embed_real(counting.extractor, IMAGES)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert_equal(embed_real(counting.extractor, IMAGES), expected)
    assert counting.seen == 80 and path.read_bytes() == whole


def test_without_a_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder should be, or no home directory: there is an embedding all the same."""
    cache.touch()
    counting = Counting()
    embed_real(counting.extractor, IMAGES)
    monkeypatch.delenv("GAN_EXP_CACHE")
    monkeypatch.setattr(kept, "cache_folder", lambda: (_ for _ in ()).throw(kept.UserError("no home")))
    assert_equal(embed_real(counting.extractor, IMAGES), counting.extractor.embed(IMAGES))


def test_short_work_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "WORTH_KEEPING_S", 60.0)
    embed_real(Counting().extractor, IMAGES)
    assert not cache.exists()


def test_the_least_recently_used_makes_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than the limit; what is larger than that is not kept at all."""
    counting = Counting()
    for part in range(3):
        embed_real(counting.extractor, IMAGES + part)
        for path in cache.iterdir():  # as if an hour had passed
            os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    size = max(path.stat().st_size for path in cache.iterdir())
    embed_real(counting.extractor, IMAGES)  # used again
    monkeypatch.setattr(kept, "MOST_BYTES", int(3.5 * size))
    embed_real(counting.extractor, IMAGES + 3)
    assert len(list(cache.iterdir())) == 3
    counting.seen = 0
    embed_real(counting.extractor, IMAGES)
    embed_real(counting.extractor, IMAGES + 2)
    assert counting.seen == 0
    embed_real(counting.extractor, IMAGES + 1)
    assert counting.seen == 40
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    embed_real(counting.extractor, IMAGES + 9)
    assert len(list(cache.iterdir())) == 3


class Noise(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        return (self.scale * latents).reshape(-1, 1, 8, 8).tanh()


def test_scores_are_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With held-out images and without, before anything is kept, with it, and with the cache out of use."""
    data, held_out = PackedImages(digits().images[:300]).split_by_hash(0.2)
    pixels = replace(pixel_features(data.spec), name="ssl")  # a panel compares in the usual features alone
    found = []
    for threshold in (0.0, 0.0, 60.0):
        monkeypatch.setattr(kept, "WORTH_KEEPING_S", threshold)
        if threshold:
            monkeypatch.setenv("GAN_EXP_CACHE", str(cache.with_name("other")))
        for others in (held_out, None):
            evaluator = Evaluator(64, False, data, others, data, pixels, (FID, PANEL), (pixels,))
            scores = evaluator.measure(Noise(), 100, 0).scores
            found.append((scores, evaluator.data_scores(100).scores))
    assert found[:2] == found[2:4] == found[4:]
    assert cache.exists() and not cache.with_name("other").exists()
