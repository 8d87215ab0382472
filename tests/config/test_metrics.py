"""Names of metrics: the package's, those of the user's own, and the sentences for what is neither."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_exp.config.metrics import SELECTING, resolve_best, resolve_metrics
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.errors import UserError
from gan_exp.metrics.entries import FID, MANIFOLDS
from gan_exp.metrics.metric import Metric

OWN = """
from gan_exp.metrics.metric import Metric, Score
GOOD = Metric("good", (Score("a", "means a", "lower"), Score("b", "means b", None)), lambda inputs: {})
AIMLESS = Metric("aimless", (Score("c", "means c", None),), lambda inputs: {})
TAKEN = Metric("taken", (Score("fid", "means d", "lower"),), lambda inputs: {})
NO_METRIC = 3
"""
TYPO = """
from gan_exp.metrics.metric import Metric, Score
GOOD = Metric("good", (Score("a", "means a", "higer"),), lambda inputs: {})
"""
# What a configuration could name before there were entries.
OLDER = (
    *("fid", "kid", "score", "precision", "recall", "density", "coverage", "class_kl"),
    *("modes", "high_quality", "mode_kl"),
)


@pytest.fixture
def own(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Path("own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setenv(TRUST_VARIABLE, "own_metrics")
    yield
    sys.modules.pop("own_metrics", None)


def test_the_package_offers_what_it_always_did() -> None:
    assert tuple(name for name in SELECTING if name in OLDER) == OLDER


@pytest.mark.parametrize("name", OLDER)
def test_each_score_of_an_older_configuration_is_still_one(name: str) -> None:
    _, score = resolve_best(name)
    assert score.name == name
    assert (score.better == "lower") == (name in ("fid", "kid", "class_kl", "mode_kl"))


def test_names_in_their_order_each_once(own: None) -> None:
    metrics = resolve_metrics("--metrics", ["manifolds", "own_metrics.GOOD", "fid", "manifolds"])
    assert [metric.name for metric in metrics] == ["manifolds", "good", "fid"]
    assert metrics[0] is MANIFOLDS and metrics[2] is FID
    assert resolve_best("own_metrics.GOOD")[1].name == "a"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fdi", "--metrics: fdi: no such metric; did you mean fid?"),
        ("own_metrics.NOTHING", "--metrics own_metrics.NOTHING: can't be imported ("),
        ("own_metrics.NO_METRIC", "--metrics own_metrics.NO_METRIC: is not a gan_exp.metrics.metric.Metric"),
        ("own_metrics.TAKEN", "--metrics own_metrics.TAKEN: the package has a score fid itself; give yours another"),
        (
            "os.path.join",
            "--metrics os.path.join: only gan_exp.metrics may be named there; if this",
        ),
    ],
)
def test_names_that_are_no_metric(name: str, sentence: str, own: None) -> None:
    with pytest.raises(UserError) as raised:
        resolve_metrics("--metrics", [name])
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("recal", "no such score; did you mean recall?"),
        ("is", "must be 'fid', 'kid', .* or a metric of your own by its dotted name"),
        ("kid_subset_sd", "must be 'fid', 'kid'"),
        ("logit_fake", "must be 'fid', 'kid'"),
        ("nearer", "must be 'fid', 'kid'"),
        (
            "own_metrics.AIMLESS",
            'its first score, c, has no better direction; give it better="lower" or better="higher"',
        ),
        ("own_metrics.TAKEN", "the package has a score fid itself"),
    ],
)
def test_what_cannot_select_a_checkpoint(name: str, sentence: str, own: None) -> None:
    with pytest.raises(UserError, match=f"best_metric={name}: {sentence}"):
        resolve_best(name)


def test_an_entry_that_makes_no_sense(own: None) -> None:
    Path("own_metrics.py").write_text(TYPO)
    with pytest.raises(UserError, match=r'own_metrics.GOOD: can.t be imported .a: better="higer" must be "lower"'):
        resolve_best("own_metrics.GOOD")
    with pytest.raises(ValueError, match="empty: a metric has at least one score"):
        Metric("empty", (), dict)


def test_nothing_is_imported_without_trust(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    Path("own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(in_tmp))
    with pytest.raises(UserError, match=r"best_metric=own_metrics.GOOD: only .* allow it with --trust own_metrics"):
        resolve_best("own_metrics.GOOD")
    assert "own_metrics" not in sys.modules
