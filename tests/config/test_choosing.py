"""`dataset=folder` alone: the words that are added, and those that are not."""

from pathlib import Path

import pytest
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from PIL import Image

from gan_exp.config import choosing
from gan_exp.config.catalog import conf_dir
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.config.hydra_guard import GuardedLoader
from gan_exp.config.overrides import quoted
from gan_exp.config.schema import Config
from gan_exp.data.glance import Glance
from gan_exp.errors import UserError


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
    assert config.name == "folder_few" and config.dataset["size"] == 40
    assert config.dataset["mirror"] is True and config.dataset["held_out"] == 0.1
    assert config.chosen[0] == "experiment=folder_few (60 images are few: fewer than 2,000)"
    assert "learned by heart" in config.chosen[-1]


def test_the_penalty_follows_the_size(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.config.own_images.FEW", 60)
    config = composed(images)
    recipe = check(compose(["experiment=folder_many", "dataset.root=."]).plain)
    assert config.name == "folder_many" and config.penalty["gamma"] == pytest.approx(0.391 * recipe.penalty["gamma"])


@pytest.mark.parametrize(
    ("words", "precision"),
    [
        ((), "bf16"),
        (("device.precision=float32",), "float32"),
        (("penalty=r1_r2_fd", "penalty.sigma=0.01"), "auto"),  # which becomes float32 on a CPU
    ],
)
def test_the_device_may_be_named_beside_its_precision(
    images: Path, words: tuple[str, ...], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_exp.runtime.device.has_bf16", lambda device: True)
    assert composed(images, *words).device.precision == precision


@pytest.mark.parametrize("inside", [True, False])
def test_labels_that_were_edited_in_place_are_read_anew(inside: bool, images: Path) -> None:
    """The folder is the same then, and so is the length of the file."""
    labels = (images if inside else images.parent) / "labels.csv"
    words = [] if inside else [f"dataset.labels={quoted(str(labels))}"]

    def mirrored(names: str) -> bool:
        rows = (f"{number}.png,{names[number % 2]}" for number in range(60))
        labels.write_text("\n".join(["file,label", *rows]), encoding="utf-8")
        return bool(composed(images, *words).dataset["mirror"])

    found = mirrored("+-")
    stamp = images.stat().st_mtime_ns
    assert found and not mirrored("ab")  # letters are not mirrored
    assert images.stat().st_mtime_ns == stamp


def test_words_win(images: Path) -> None:
    config = composed(images, "dataset.size=16", "dataset.mirror=false", "steps=40", "penalty=none", "lr=1e-3")
    assert config.dataset["size"] == 16 and config.dataset["mirror"] is False
    assert (config.steps, config.lr) == (40, 1e-3) and config.node("penalty") is None
    assert not [
        line for line in config.chosen if line.startswith(("dataset.size", "dataset.mirror", "penalty", "steps"))
    ]


@pytest.mark.parametrize("word", ["model=dcgan", "experiment=folder_few", "model.generator.widths=[8]"])
def test_nothing_is_chosen_where_a_model_or_an_experiment_is_named(images: Path, word: str) -> None:
    config = composed(images, word)
    assert config.chosen == () and config.dataset["size"] == 64 and config.dataset["mirror"] is False


@pytest.mark.parametrize("word", ["dataset.size=0", "dataset.root=nowhere", "steps=many"])
def test_what_is_refused_later_chooses_nothing(images: Path, word: str) -> None:
    plain = compose(["dataset=folder", f"dataset.root={images.parent / 'empty'}", word]).plain
    assert plain["chosen"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["penalty=wgan_gp", "model.discriminator.batch_norm=false"],
        ["augment=ada"],
        ["augment=pipeline", "optimizer=sgd"],
        ["schedule=linear", "loss=hinge"],
    ],
)
def test_other_options_do_without_the_settings_of_the_recipes(
    words: list[str], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which the user's options know nothing."""
    assert composed(images, *words).name == "folder_few"
    many = Glance(3000, [(64, 64)], False)
    monkeypatch.setattr(choosing, "_look", lambda *_: many)
    assert composed(images, *words).name == "folder_many"


def test_settings_of_the_recipes_networks_can_be_set(images: Path) -> None:
    config = composed(images, "model.generator.width=8", "penalty=r1", "penalty.gamma=3", "batch_size=8")
    assert config.name == "folder_few" and config.model.generator["width"] == 8
    assert config.penalty["gamma"] == 3.0 and config.batch_size == 8
    assert not [line for line in config.chosen if line.startswith(("model", "penalty", "batch"))]


def test_images_are_mirrored_once(images: Path) -> None:
    assert composed(images, "augment=ada").dataset["mirror"] is False
    assert composed(images, "augment=ada", "augment.flip=false").dataset["mirror"] is True


def test_digits_of_a_file_are_not_mirrored(images: Path) -> None:
    """As those that folders are called by."""
    labels = images.parent / "digits.csv"
    labels.write_text("\n".join(["file,label", *(f"{number}.png,{number % 10}" for number in range(60))]))
    config = composed(images, f"dataset.labels={quoted(str(labels))}")
    assert config.dataset["mirror"] is False and "one letter or digit" in config.chosen[-2]


def test_a_mistake_is_named_as_without_a_choice(images: Path) -> None:
    with pytest.raises(UserError, match=r"^lrr: unknown key"):
        composed(images, "lrr=1")
    with pytest.raises(UserError, match=r"^model\.generator\.widht: unknown key"):
        composed(images, "model.generator.widht=8")


def test_hydra_keeps_the_words_of_the_user(images: Path) -> None:
    words = ["dataset=folder", f"dataset.root={quoted(str(images))}", "steps=9", "penalty=none"]
    loader = GuardedLoader(create_config_search_path(str(conf_dir())))
    assert loader.load_configuration("config", words, run_mode=RunMode.RUN).hydra.overrides.task == words
