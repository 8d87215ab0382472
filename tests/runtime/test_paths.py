"""Paths in a home directory, and for a user without one: HOME is not set, and the user ID is unknown."""

import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from builders import refused, small_config
from gan_exp.data.folder import folder
from gan_exp.data.torchvision_sets import celeba, mnist
from gan_exp.errors import UserError
from gan_exp.evaluation.features.inception import inception_features
from gan_exp.evaluation.features.learning import CNN
from gan_exp.evaluation.features.trained import trained_features
from gan_exp.runtime.paths import expand_user
from gan_exp.training.build import build_data

CPU = torch.device("cpu")


@pytest.fixture
def no_home(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def unknown(number: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "GAN_EXP_CACHE", "GAN_EXP_DATA", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    Path("images").mkdir()
    Image.new("L", (8, 8)).save("images/a.png")
    return in_tmp


def features(extract: Callable[..., object]) -> Callable[[], object]:
    return lambda: extract(build_data(small_config("mlp"), CPU))


PLACES: list[tuple[Callable[[], object], str]] = [
    (lambda: folder("~/images", "cache"), "dataset.root=~/images: "),
    (lambda: folder("images", "~/cache"), "dataset.cache=~/cache: .*, or set GAN_EXP_CACHE"),
    (lambda: mnist("~/data"), "dataset.root=~/data: .*, or set GAN_EXP_DATA"),
    (lambda: celeba("~/data", "cache"), "dataset.root=~/data: .*, or set GAN_EXP_DATA"),
    (features(lambda data: trained_features(CNN, data, None, CPU)), "GAN_EXP_CACHE=~/.cache/gan-exp/features: "),
    (features(lambda data: inception_features(data.spec, CPU)), "TORCH_HOME=~/.cache/torch/hub: "),
]


@pytest.mark.parametrize(("reach", "message"), PLACES)
def test_without_a_home_directory_the_message_has_a_remedy(
    reach: Callable[[], object], message: str, no_home: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        reach()
    assert "~ stands for the home directory, and there is none here; write the path in full" in str(caught.value)
    assert [path.name for path in no_home.rglob("*") if path.is_file()] == ["a.png"]


def test_a_run_that_could_not_be_evaluated_does_not_begin(no_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "evaluate_every_steps=1", "steps=1", "display=quiet"]
    assert "GAN_EXP_CACHE=~/.cache/gan-exp/features: " in refused(words, capsys)
    assert [path.name for path in no_home.rglob("*") if path.is_file()] == ["a.png"]


def test_home_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_user("~/a", "key") == tmp_path / "a"
    assert expand_user("a~/~", "key") == Path("a~/~")
    assert expand_user("~nobody-of-that-name/a", "key") == Path("~nobody-of-that-name/a")
