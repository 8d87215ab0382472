"""Formats that need a package or a newer Pillow, and files of no format."""

import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from image_folders import QUARTERS, Load, refused

LARGE = QUARTERS.repeat(4, axis=0).repeat(4, axis=1)


def save_heic(path: Path, orientation: int = 1, **options: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(Image.fromarray(LARGE)).save(path, quality=-1, chroma=444, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.hif", "a.jpg"])  # some programs export them as .jpg
def test_a_heic_image(name: str, images: Path, load: Load) -> None:
    save_heic(images / name)
    data = load()
    assert data.reading is not None and data.reading["formats"] == {"HEIF": 1}
    np.testing.assert_allclose(data.images[0].permute(1, 2, 0).int(), LARGE.astype(int), atol=3)


def test_a_heic_image_of_a_turned_camera(images: Path, load: Load) -> None:
    save_heic(images / "a.heic", orientation=6)
    turned = np.rot90(LARGE, -1)
    np.testing.assert_allclose(load().images[0].permute(1, 2, 0).int(), turned.astype(int), atol=3)


def test_without_the_package_the_extra_is_named(images: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    save_heic(images / "a.jpg")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    sentence = refused(load)
    assert "a.jpg is a HEIC image, which needs pillow-heif: pip install 'gan-exp[heic]'; remove it" in sentence


def test_avif_with_an_older_pillow(images: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(QUARTERS).save(images / "a.avif")
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF")
    assert "a.avif is an AVIF image, which needs Pillow 11.3 or newer" in refused(load)
    (images / "a.avif").rename(images / "b.txt")
    Image.fromarray(QUARTERS).save(images / "a.png")
    assert len(load().images) == 1  # what it knows, it reads


@pytest.mark.parametrize(("content", "why"), [(b"", "it is empty"), (b"no image at all", "it is of no known format")])
def test_what_is_no_image(content: bytes, why: str, images: Path, load: Load) -> None:
    (images / "a.png").write_bytes(content)
    assert f"a.png can't be read as an image ({why}" in refused(load)


@pytest.mark.parametrize(
    ("changed", "numbers"),
    [({258: (64,)}, "1 channel of 64-bit floats"), ({258: (32, 32, 32), 277: 3}, "3 channels of 32-bit floats")],
)
def test_numbers_that_pillow_cannot_read(changed: dict[int, object], numbers: str, images: Path, load: Load) -> None:
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    floats = {256: 2, 257: 2, 258: (32,), 262: 1, 273: 8, 277: 1, 278: 2, 279: 16, 339: (3,)}
    for tag, value in (floats | changed).items():
        directory[tag] = value
    (images / "a.tif").write_bytes(b"II*\0\x08\0\0\0" + directory.tobytes(8))
    assert f"a.tif is a TIFF with {numbers}, which Pillow can't read" in refused(load)
