import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_exp.data.packed import DataSpec, to_uint8
from gan_exp.errors import UserError
from gan_exp.generators.sample_files import Array, Folder, Picture

SPEC = DataSpec((3, 8, 6), 3)
NAMES = ("T-shirt/top", "../évil dog ", "??")


def some(count: int) -> torch.Tensor:
    return torch.rand(count, *SPEC.image_shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def as_array(images: torch.Tensor) -> np.ndarray:
    return to_uint8(images).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_an_array_grows_part_by_part(ending: str, tmp_path: Path) -> None:
    """And holds what it was given, also where that is fewer than announced."""
    images, path = some(300), tmp_path / f"some.{ending}"
    array = Array(path, SPEC, 1_000_000)
    for part in (range(256), range(256, 300)):
        array.add(part, images[part.start : part.stop], torch.tensor(part) % 3)
    assert not path.exists()
    array.finish()
    if ending == "npy":
        np.testing.assert_array_equal(np.load(path), as_array(images))
    else:
        with np.load(path) as archive:
            np.testing.assert_array_equal(archive["images"], as_array(images))
            assert archive["labels"].tolist() == [k % 3 for k in range(300)]
    assert list(tmp_path.iterdir()) == [path]


def test_an_array_that_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    array = Array(tmp_path / "some.npy", SPEC, 10)
    array.add(range(5), some(5), None)
    array.discard()
    assert not list(tmp_path.iterdir())


def test_an_array_too_large_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    with pytest.raises(UserError, match=r"some.npy: needs 144\.0 GB, and 1\.1 GB are free there"):
        Array(tmp_path / "some.npy", SPEC, 10**9)
    assert not list(tmp_path.iterdir())


def test_points_as_an_array(tmp_path: Path) -> None:
    points = torch.randn(4, 2, 1, 1)
    array = Array(tmp_path / "some.npy", DataSpec((2, 1, 1), 0, 1.5), 4)
    array.add(range(4), points, None)
    array.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), points.flatten(1).numpy())


def test_a_folder_names_seed_index_and_class(tmp_path: Path) -> None:
    images = some(3)
    Folder(tmp_path / "new", 5, NAMES).add(range(1_999_999, 2_000_002), images, torch.tensor([0, 1, 2]))
    paths = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in paths] == [
        "seed5-1999999-T-shirt-top.png",
        "seed5-2000000-évil-dog.png",
        "seed5-2000001-2.png",
    ]
    for path, expected in zip(paths, as_array(images), strict=True):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected)
    again = Folder(tmp_path / "new", 5, NAMES)
    again.add(range(2_000_000, 2_000_001), images[:1], torch.tensor([0]))  # the same sample, as another class
    assert sorted(path.name for path in (tmp_path / "new").iterdir())[1:] == [
        "seed5-2000000-T-shirt-top.png",
        "seed5-2000001-2.png",
    ]


def test_a_picture_has_a_row_for_each_class(tmp_path: Path) -> None:
    images, labels = some(7), torch.tensor([2, 0, 2, 0, 2, 0, 2])
    picture = Picture(tmp_path / "some.png", SPEC, NAMES, 7)
    picture.add(range(7), images, labels)
    picture.finish()
    with Image.open(tmp_path / "some.png") as opened:
        pixels = np.asarray(opened)
    factor = round(256 / 27)  # four columns of 6 pixels and three lines
    assert pixels.shape[0] == 17 * factor and pixels.shape[1] > 27 * factor
    grid = pixels[::factor, -27 * factor :: factor]
    expected = as_array(images)
    np.testing.assert_array_equal(grid[:8, :6], expected[1])
    np.testing.assert_array_equal(grid[9:, :6], expected[0])
    np.testing.assert_array_equal(grid[9:, 21:], expected[6])
    assert not grid[:8, 21:].any()  # the first row has one image less


def test_a_picture_of_too_many(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--count 5000: a grid shows at most 4096 of 8x6; name a folder"):
        Picture(tmp_path / "some.png", SPEC, (), 5000)
    with pytest.raises(UserError, match="a grid shows at most 64 of 1024x1024"):
        Picture(tmp_path / "some.png", DataSpec((3, 1024, 1024)), (), 65)
    with pytest.raises(UserError, match=r"a plot shows at most 1000000 points; name a .npy or .npz"):
        Picture(tmp_path / "some.png", DataSpec((2, 1, 1), 0, 1.0), (), 2_000_000)
