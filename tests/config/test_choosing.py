"""`dataset=folder` alone: the words that are added, and those that are not."""

from pathlib import Path

import pytest
from PIL import Image

from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.config.schema import Config


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Sixty of 40x40."""
    folder = tmp_path / "it's, mine"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def composed(images: Path, *words: str) -> Config:
    quoted = "'" + str(images).replace("'", r"\'") + "'"
    return check(compose(["dataset=folder", f"dataset.root={quoted}", "device=cpu", *words]).plain)


def test_a_folder_alone(images: Path) -> None:
    config = composed(images)
    assert config.name == "folder_few" and config.dataset["size"] == 32
    assert config.dataset["mirror"] is True and config.dataset["held_out"] == 0.1
    assert config.chosen[0] == "experiment=folder_few (60 images are few: fewer than 2,000)"
    assert "learned by heart" in config.chosen[-1]


def test_the_penalty_follows_the_size(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.config.own_images.FEW", 60)
    config = composed(images)
    recipe = check(compose(["experiment=folder_many", "dataset.root=."]).plain)
    assert config.name == "folder_many" and config.penalty["gamma"] == 0.25 * recipe.penalty["gamma"]


@pytest.mark.parametrize(("words", "precision"), [((), "bf16"), (("device.precision=float32",), "float32")])
def test_the_device_may_be_named_beside_its_precision(
    images: Path, words: tuple[str, ...], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_exp.runtime.device.has_bf16", lambda device: True)
    assert composed(images, *words).device.precision == precision


def test_words_win(images: Path) -> None:
    config = composed(images, "dataset.size=16", "dataset.mirror=false", "steps=40", "penalty=none", "lr=1e-3")
    assert config.dataset["size"] == 16 and config.dataset["mirror"] is False
    assert (config.steps, config.lr) == (40, 1e-3) and config.node("penalty") is None
    assert not [
        line for line in config.chosen if line.startswith(("dataset.size", "dataset.mirror", "penalty", "steps"))
    ]


@pytest.mark.parametrize("word", ["model=dcgan", "experiment=folder_few", "model.name=mine"])
def test_nothing_is_chosen_where_a_model_or_an_experiment_is_named(images: Path, word: str) -> None:
    config = composed(images, word)
    assert config.chosen == () and config.dataset["size"] == 64 and config.dataset["mirror"] is False


@pytest.mark.parametrize("word", ["dataset.size=0", "dataset.root=nowhere", "steps=many"])
def test_what_is_refused_later_chooses_nothing(images: Path, word: str) -> None:
    plain = compose(["dataset=folder", f"dataset.root={images.parent / 'empty'}", word]).plain
    assert plain["chosen"] == []
