"""`gan-exp data`: what a folder holds, and the cache of packed folders."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from builders import refused
from gan_exp.cli import main
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.training.build import build_data
from image_folders import draw


@pytest.fixture
def place(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images of noise, one of them nearly that of another, and one of a single colour."""
    monkeypatch.setenv("GAN_EXP_CACHE", str(in_tmp / "cache"))
    images = in_tmp / "images"
    images.mkdir()
    for number in range(3):
        array = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(array).save(images / f"{number}.png")
    array[0, 0] = 255 - array[0, 0]
    Image.fromarray(array).save(images / "3.png")
    draw(images / "4.png", 200, size=(16, 16))
    return images


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert main(["data", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "images", "--size", "16")
    assert lines[0] == "images: 5 (5 PNG) of 16x16, brought to 16x16"
    assert "plain: 1 image of one colour only" in lines
    assert "near-duplicates: 1 image nearly equals an earlier one" in lines
    assert lines[-1] == "contact sheet: data.png"
    with Image.open("data.png") as sheet:
        assert sheet.size[1] < sheet.size[0]  # one row of five images
    assert "--output data.png: exists" in refused(["data", "images"], capsys)
    assert printed(capsys, "images", "--size", "16", "--force") == lines  # from the cache


@pytest.mark.parametrize(("shape", "said"), [((16, 16), "size: 16"), ((64, 96), "size: 64x96")])
def test_the_size_is_that_which_a_run_chooses(
    shape: tuple[int, int], said: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the run finds the folder packed."""
    monkeypatch.setenv("GAN_EXP_CACHE", str(in_tmp / "cache"))
    height, width = shape
    for number in range(3):
        draw(in_tmp / f"images/{number}.png", number, size=(width, height))
    lines = printed(capsys, "images")
    assert lines[0].startswith(f"{said} (")
    config = check(compose(["dataset=folder", "dataset.root=images"]).plain)
    build_data(config, torch.device("cpu"))
    listed = printed(capsys, "--cache")
    assert len(listed) == 3 and f"3 of {height}x{width}x" in listed[0]


def test_a_sheet_of_a_number_of_images_that_fills_no_row(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5, 14):
        draw(place / f"{number:02d}.png", number, size=(16, 16))
    assert printed(capsys, "images", "--size", "16")[-1] == "contact sheet: data.png"
    with Image.open("data.png") as sheet:
        assert sheet.size == (12 * 17 - 1, 2 * 17 - 1)


def test_the_cache(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--cache") == [f"{place.parent / 'cache'}: no packed folders"]
    printed(capsys, "images", "--size", "8", "--output", "a.png")
    printed(capsys, "images", "--size", "16", "--output", "b.png")
    first, second, total, _ = printed(capsys, "--cache")
    assert "5 of 16x16x3" in first and "5 of 8x8x3" in second and str(place) in first
    assert re.match(r"2 packed folders, \d\.\d KB, in ", total)
    name = second.split()[0]
    assert "no such packed folder; there are folder-" in refused(["data", "--cache", "--clean", "nothing"], capsys)
    assert printed(capsys, "--cache", "--clean", name)[0].startswith("removed: 1 packed folder, ")
    assert len(printed(capsys, "--cache")) == 3
    for name in ("zip-1", "zip-2.incomplete"):
        (place.parent / "cache" / name).mkdir()
    lines = printed(capsys, "--cache")
    assert {line.split()[0]: line.split("0 bytes  ")[1] for line in lines if line.startswith("zip-")} == {
        "zip-1": "unpacked", "zip-2.incomplete": "not whole",
    }  # fmt: skip
    printed(capsys, "--cache", "--clean", "all")
    assert not list((place.parent / "cache").iterdir()) and len(list(place.iterdir())) == 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "data: which folder?"),
        (["nowhere"], "dataset.root=nowhere: no such folder"),
        (["images", "--clean", "all"], "--clean: needs --cache"),
        (["images", "--output", "sheet.jpg"], "--output sheet.jpg: must end in .png"),
    ],
)
def test_refusals(words: list[str], sentence: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in refused(["data", *words], capsys)
