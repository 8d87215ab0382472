"""The data's own scores are computed once for each protocol."""

import json
import math
from pathlib import Path

import pytest

from gan_exp.evaluation.data_scores import DataScores, cached_data_scores

MADE = DataScores({"fid": 0.5, "class_kl": None}, "9 held-out images", 9)


def never() -> DataScores:
    pytest.fail("was made again")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAN_EXP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_kept_by_its_key(cache: Path) -> None:
    assert (
        cached_data_scores(("cnn", 5), lambda: MADE._replace(scores={"fid": 0.5, "class_kl": math.inf})).scores["fid"]
        == 0.5
    )
    assert cached_data_scores(("cnn", 5), never) == MADE
    other = MADE._replace(images=8)
    assert cached_data_scores(("cnn", 6), lambda: other) == other
    (first, _) = sorted(cache.iterdir(), key=lambda path: json.loads(path.read_text())["images"], reverse=True)
    for damaged in ("", "[]", '{"scores": 3}', "\x00"):
        first.write_text(damaged)
        assert cached_data_scores(("cnn", 5), lambda: MADE) == MADE


def test_where_nothing_can_be_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("no folder")
    assert cached_data_scores("a", lambda: MADE) == MADE
    monkeypatch.setenv("GAN_EXP_CACHE", "~/x")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    assert cached_data_scores("a", lambda: MADE) == MADE
