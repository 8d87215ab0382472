"""A look at a folder: how many images there are to train on, and whether their classes are letters or digits."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gan_exp.data.glance import Glance, glance_at
from gan_exp.errors import UserError
from image_folders import draw


def glance(folder: Path, labels: str | None = None) -> Glance:
    return glance_at(folder, folder.parent / "cache", 64.0, labels)


def as_folders(images: Path, labels: list[str]) -> None:
    for number, label in enumerate(labels):
        draw(images / label / f"{number}.png")


def as_csv(images: Path, labels: list[str]) -> None:
    lines = [f"{number}.png,{label}" for number, label in enumerate(labels)]
    (images / "labels.csv").write_text("\n".join(["file,label", *lines]))
    as_folders(images, ["one"] * len(labels))


def as_json(images: Path, labels: list[str]) -> None:
    content = {"labels": [[f"{number}.png", label] for number, label in enumerate(labels)]}
    (images / "dataset.json").write_text(json.dumps(content))
    as_folders(images, ["one"] * len(labels))


@pytest.mark.parametrize("write", [as_folders, as_csv, as_json])
@pytest.mark.parametrize(
    ("labels", "letters"), [(["a", "b", "a"], True), (["3", "7"], True), (["a", "bee"], False), (["a"], False)]
)
def test_classes_that_are_letters_or_digits(
    write: Callable[[Path, list[str]], None], labels: list[str], letters: bool, images: Path
) -> None:
    """Wherever their names are from."""
    write(images, labels)
    assert glance(images).letters is letters


def test_numbers_of_a_dataset_json_are_no_names(images: Path) -> None:
    """StyleGAN's tools number classes of any kind."""
    as_json(images, ["0", "1"])
    (images / "dataset.json").write_text(json.dumps({"labels": [["0.png", 0], ["1.png", 1]]}))
    assert glance(images) == Glance(2, [(8, 8)] * 2, False)


def test_folders_where_the_file_is_ignored(images: Path) -> None:
    as_folders(images, ["a", "b"])
    (images / "labels.csv").write_text("file,label\n0.png,ant\n1.png,bee\n")
    assert not glance(images).letters and glance(images, "folders").letters


def test_images_without_a_label_are_not_trained_on(images: Path) -> None:
    as_csv(images, ["ant", "bee"])
    draw(images / "other.png", size=(9, 9))
    assert glance(images) == Glance(2, [(8, 8)] * 2, False)


def test_a_file_that_can_not_be_read(images: Path) -> None:
    as_folders(images, ["a", "b"])
    (images / "labels.csv").write_text("0.png,ant\n")
    with pytest.raises(UserError, match=r"labels\.csv, line 1"):
        glance(images)
