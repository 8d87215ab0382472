"""One scale for a whole folder: it keeps the order of brightness among images of any numbers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan_exp.data.brightness import Kind, choose_scale
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages
from gan_exp.data.reading import reading_lines


def packed(place: Path, *arrays: np.ndarray, **options: Any) -> PackedImages:
    """A folder of one image for each array, in their order."""
    images = place / "images"
    images.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(images / f"{number:02}.tif")
    return folder(str(images), str(place / "cache"), **{"size": None, **options})


NUMBERS: dict[Kind, st.SearchStrategy[float]] = {
    "integers": st.integers(0, 255) | st.integers(0, 65535) | st.integers(-(2**31), 2**31 - 1),
    "floats": st.floats(0, 1, width=32) | st.floats(0, 255, width=32) | st.floats(allow_nan=False, width=32),
}


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
def test_the_darker_pixel_stays_the_darker_one(kind: Kind, data: st.DataObject) -> None:
    """Also across images, one of which may hold only small values."""
    finite = NUMBERS[kind].filter(math.isfinite)
    values = sorted(data.draw(st.lists(finite, min_size=2, max_size=9)))
    shown = choose_scale(kind, values[0], values[-1]).apply(np.array(values, dtype=np.float64)).tolist()
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("kind", "first", "second", "expected"),
    [
        (np.float32, [0, 200], [0, 60_000], [0, 1, 0, 233]),  # 200 is the largest value of the first image alone
        (np.float32, [0, 1], [0, 255], [0, 1, 0, 255]),
        (np.int32, [0, 100], [0, 100_000], [0, 0, 0, 255]),
        (np.uint16, [0, 255], [0, 65535], [0, 1, 0, 255]),
        (np.float32, [-1, 0], [0.5, 1], [0, 128, 191, 255]),
    ],
)
def test_two_images_have_one_scale(
    kind: Any, first: list[float], second: list[float], expected: list[int], tmp_path: Path
) -> None:
    data = packed(tmp_path, np.array([first], dtype=kind), np.array([second], dtype=kind))
    assert data.images.flatten().tolist() == expected


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("integers", 0, 3, (0, 3)),  # the classes of masks
        ("integers", 0, 255, (0, 255)),
        ("integers", 40, 700, (0, 1023)),
        ("integers", 0, 1024, (0, 4095)),
        ("integers", 100, 4095, (0, 4095)),
        ("integers", 0, 4096, (0, 65535)),
        ("integers", 0, 65535, (0, 65535)),
        ("integers", 0, 0, (0, 1)),
        ("integers", -7, 65536, (-7, 65536)),
        ("floats", 0, 1, (0, 1)),
        ("floats", 0.2, 0.4, (0, 1)),
        ("floats", 0, 0.01, (0, 0.01)),  # too little of the range to 1
        ("floats", 0, 3, (0, 3)),  # beyond 1, and too little of the range to 255
        ("floats", 0, 200, (0, 255)),
        ("floats", 0, 1e6, (0, 1e6)),
        ("floats", -1, 1, (-1, 1)),
        ("floats", -9999, 1, (0, 1)),  # which marks missing values
        ("floats", -5, -2, (-5, -2)),
        ("floats", -80, 0, (-80, 0)),  # decibels
        ("floats", 0, 0, (0, 1)),
    ],
)
def test_the_scale(kind: Kind, low: float, high: float, expected: tuple[float, float]) -> None:
    assert choose_scale(kind, low, high) == expected


def told(data: PackedImages) -> list[str]:
    assert data.reading is not None
    return [line for line in reading_lines(data.reading) if line.startswith("brightness: ")]


def test_the_scale_is_told(tmp_path: Path) -> None:
    camera = np.array([[0, 2048, 4000]], dtype=np.uint16)
    line = (
        "brightness: images of integers (1) hold 0 to 4000; 0 becomes black and 4095 (the end of 12 bits) white in all "
        "of them (dataset.range=[black,white] sets others)"
    )
    data = packed(tmp_path, camera)
    assert data.images.flatten().tolist() == [0, 128, 249] and told(data) == [line]
    assert told(packed(tmp_path, camera)) == [line]  # from the packed images, too
    data = packed(tmp_path, camera, range=[0, 65535])
    assert data.images.flatten().tolist() == [0, 8, 16] and told(data) == []  # the user has chosen it
    (line,) = told(packed(tmp_path, np.array([[0, 60_000]], dtype=np.uint16)))
    assert "0 becomes black and 65535 white" in line
    (line,) = told(packed(tmp_path, np.array([[-0.5, 0.75]], dtype=np.float32)))
    assert "images of floats (1) hold -0.5 to 0.75; -0.5 becomes black and 1 white" in line


def test_12_bits_in_png_files_are_as_bright_as_8(tmp_path: Path) -> None:
    """One scale for all: the image whose own values are small stays dark."""
    folder_8, folder_12 = tmp_path / "8", tmp_path / "12"
    bright = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for place in (folder_8, folder_12):
        place.mkdir()
    for number, pixels in enumerate((bright, bright // 16)):
        Image.fromarray(pixels).save(folder_8 / f"{number}.png")
        Image.fromarray((pixels.astype(int) * 4095 // 255).astype(np.uint16)).save(folder_12 / f"{number}.png")
    eight, twelve = (folder(str(place), str(tmp_path / "cache")) for place in (folder_8, folder_12))
    assert eight is not None and twelve is not None
    assert torch.equal(eight.images, twelve.images) and eight.images.flatten(1).amax(dim=1).tolist() == [255, 15]


def test_dark_images_of_bytes_are_reported(tmp_path: Path) -> None:
    masks = np.array([[0, 3, 9]], dtype=np.uint8)
    data = packed(tmp_path, masks)
    assert data.images.flatten().tolist() == [0, 3, 9]
    (line,) = told(data)
    assert "no pixel of the packed images is above 9 of 255" in line and "dataset.range=[0,9]" in line
    assert packed(tmp_path, masks, range=[0, 9]).images.flatten().tolist() == [0, 85, 255]
    assert told(packed(tmp_path, np.array([[0, 16]], dtype=np.uint8))) == []


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGB", (10, 70, 200), [0, 153, 255]),
        ("RGBA", (10, 70, 200, 77), [0, 153, 255, 77]),
        ("LA", (70, 77), [153, 153, 153, 77]),
        ("1", 1, [255]),
    ],
)
def test_a_range_of_the_users_for_every_mode(mode: str, pixel: Any, expected: list[int], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new(mode, (1, 1), pixel).save(tmp_path / "images" / "a.png")
    assert packed(tmp_path, range=[10, 110]).images.flatten().tolist() == expected


@pytest.mark.parametrize("limits", [[5, 5], [5, 1], [0, float("inf")], [float("nan"), 1]])
def test_invalid_ranges(limits: list[float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"range=\[.*\]: must be \[black, white\]"):
        folder(str(tmp_path), str(tmp_path), range=limits)  # type: ignore[arg-type]


def test_images_of_bytes_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.data.common_format.read_extrema", lambda *_: pytest.fail("was measured"))
    packed(tmp_path, np.array([[0, 99]], dtype=np.uint8))


@pytest.mark.parametrize("value", [0.0, -3.0, -(2.0**53), -1e300])
def test_images_of_one_value_have_a_scale(value: float) -> None:
    """For large values the next float is more than 1 away."""
    assert choose_scale("floats", value, value).apply(np.array([value])).tolist() == [0]
