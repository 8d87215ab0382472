"""The names of the files that packed images were made of."""

import os
from pathlib import Path

import torch

from gan_exp.data.file_names import NAMES
from gan_exp.data.packed import PackedImages
from image_folders import Load, draw, packings, pixels


def named(data: PackedImages) -> dict[int, str]:
    """By the images' pixels."""
    assert data.names is not None
    found = data.names.of(range(len(data.images)))
    assert found is not None
    return {pixel[0]: name for pixel, name in zip(pixels(data), found, strict=True)}


def test_each_image_has_the_name_of_its_file(images: Path, load: Load) -> None:
    """On both sides of a split, and of any selection; broken images have none."""
    wanted = {number: f"{number:02d}.png" for number in range(1, 40)}
    for number, name in wanted.items():
        draw(images / name, number)
    (images / "00.png").write_bytes(b"broken")
    data = load(skip_broken=True)
    assert named(data) == wanted
    train, held_out = data.split_by_hash(0.3)
    assert named(train) | named(held_out) == wanted and len(named(held_out)) < 39
    assert named(held_out.select(torch.tensor([2, 0]))).items() <= wanted.items()
    assert named(train.resized(4, 4)) == named(train)


def test_names_of_any_bytes_stay_on_one_line(images: Path, load: Load) -> None:
    draw(images / os.fsdecode(b"a\xff\n.png"), 3)
    assert named(load()) == {3: "a\ufffd\\n.png"}


def test_folders_that_were_packed_before_have_none(images: Path, load: Load, tmp_path: Path) -> None:
    draw(images / "a.png")
    data = load()
    file = packings(tmp_path)[0] / NAMES
    file.write_text("[")
    assert data.names is not None and data.names.of([0]) is None
    file.unlink()
    assert load().names is None and data.names.of([0]) is None
