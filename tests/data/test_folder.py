"""A folder of one's own images: every format and mode, the shapes they are brought to, and the cache."""

import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gan_exp.data.decode as decoding
import gan_exp.data.folder as module
from gan_exp.data.brightness import BYTES
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS = np.repeat(np.repeat(np.array([[RED, GREEN], [BLUE, WHITE]], dtype=np.uint8), 8, axis=0), 8, axis=1)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    place = tmp_path / "images"
    place.mkdir()
    return place


@pytest.fixture
def load(images: Path, tmp_path: Path) -> Callable[..., PackedImages]:
    def load(**options: Any) -> PackedImages:
        return folder(str(images), str(tmp_path / "cache"), **{"size": None, **options})

    return load


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    decode = module.decode

    def counted(path: Path, *rest: Any) -> np.ndarray:
        names.append(path.name)
        return decode(path, *rest)

    monkeypatch.setattr(module, "decode", counted)
    return names


Load = Callable[..., PackedImages]


def draw(path: Path, value: Any = 0, size: tuple[int, int] = (8, 8), mode: str = "L", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)
    return path


def refused(load: Load, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pixels(data: PackedImages) -> list[Any]:
    """The middle pixel of each image."""
    _, _, height, width = data.images.shape
    return data.images[:, :, height // 2, width // 2].tolist()


# --- formats and modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".jpg", ".JPEG", ".webp", ".bmp", ".tif", ".TIFF"])
def test_formats(ending: str, images: Path, load: Load) -> None:
    options = (
        {"lossless": True} if ending == ".webp" else {"quality": 100, "subsampling": 0} if "j" in ending.lower() else {}
    )
    Image.fromarray(QUARTERS).save(images / f"a{ending}", **options)
    data = load()
    assert data.images.dtype == torch.uint8 and data.image_shape == (3, 16, 16)
    tolerance = 3 if ending.lower() in (".jpg", ".jpeg") else 0
    np.testing.assert_allclose(data.images[0].permute(1, 2, 0).int(), QUARTERS.astype(int), atol=tolerance)


@pytest.mark.parametrize(
    ("mode", "value", "channels", "expected"),
    [
        ("L", 77, 1, [77]),
        ("1", 1, 1, [255]),
        ("LA", (77, 30), 4, [77, 77, 77, 30]),
        ("RGB", (1, 2, 3), 3, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 4), 4, [1, 2, 3, 4]),
        ("I;16", 65535, 1, [255]),
        ("I;16", 0x8080, 1, [128]),
        ("I;16", 300, 1, [1]),
    ],
)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_modes(
    mode: str, value: Any, channels: int, expected: list[int], ending: str, images: Path, load: Load
) -> None:
    draw(images / f"a{ending}", value, mode=mode)
    data = load()
    assert data.image_shape == (channels, 8, 8)
    assert (data.images == torch.tensor(expected).view(1, channels, 1, 1)).all()


def palette_image(**options: Any) -> Image.Image:
    """Two columns of a palette's first two colours."""
    image = Image.fromarray(np.array([[0, 1], [0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    return image


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [
        (None, [[10, 20, 30], [40, 50, 60]]),
        (1, [[10, 20, 30, 255], [40, 50, 60, 0]]),
        (b"\x80\xff", [[10, 20, 30, 128], [40, 50, 60, 255]]),
    ],
)
def test_palettes(transparency: Any, expected: list[list[int]], images: Path, load: Load) -> None:
    options = {} if transparency is None else {"transparency": transparency}
    palette_image().save(images / "a.png", **options)
    with Image.open(images / "a.png") as saved:
        assert saved.mode == "P"
    assert load().images[0, :, 0].T.tolist() == expected


@pytest.mark.parametrize(("mode", "key"), [("RGB", (9, 8, 7)), ("L", 9), ("1", 0)])
def test_a_transparent_colour(mode: str, key: Any, images: Path, load: Load) -> None:
    draw(images / "a.png", key, mode=mode, transparency=key)
    data = load()
    assert data.image_shape[0] == 4 and pixels(data)[0][3] == 0


def test_cmyk_jpeg(images: Path, load: Load) -> None:
    draw(images / "a.jpg", (0, 255, 255, 0), mode="CMYK", quality=100)
    assert load().image_shape[0] == 3
    np.testing.assert_allclose(pixels(load())[0], RED, atol=4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0, -3.0], [0, 128, 255, 0]),  # up to 1
        ([0.0, 51.0, 200.0, 127.4], [0, 51, 200, 127]),  # up to 255
        ([0.0, 257.0, 25700.0, 65535.0], [0, 1, 100, 255]),  # up to 65535
        ([0.0, 5e4, 1e5, 2e4], [0, 128, 255, 51]),  # up to the largest
    ],
)
def test_float_tiff(values: list[float], expected: list[int], images: Path, load: Load) -> None:
    Image.fromarray(np.array([values], dtype=np.float32)).save(images / "a.tif")
    data = load()
    assert data.image_shape == (1, 1, 4)
    assert data.images.flatten().tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_tiff_that_holds_no_numbers(value: float, images: Path, load: Load) -> None:
    Image.fromarray(np.array([[0, value]], dtype=np.float32)).save(images / "a.tif")
    assert "a.tif holds values that are no finite numbers; remove it" in refused(load)


def test_32_bit_integers(images: Path, load: Load) -> None:
    Image.fromarray(np.array([[0, 50_000, 100_000, -5]], dtype=np.int32)).save(images / "a.tif")
    assert load().images.flatten().tolist() == [0, 128, 255, 0]


def test_pillows_warnings_do_not_come_through(images: Path, load: Load) -> None:
    draw(images / "a.jpg", 50, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05not exif at all")  # corrupt: Pillow warns
    with pytest.warns(UserWarning, match="Corrupt EXIF"), Image.open(images / "a.jpg") as image:
        image.getexif()
    assert pixels(load()) == [[50]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_exif_orientation(orientation: int, ending: str, images: Path, load: Load) -> None:
    """What is stored turned, and says so, is shown upright; not square, so that a wrong size would be seen."""
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:8, :16], upright[8:, 16:] = 100, 200
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright[::-1, ::-1].T,
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == ".webp" else {"quality": 100} if ending == ".jpg" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(images / f"a{ending}", exif=exif, **options)
    data = load(channels=1)
    assert data.image_shape == (1, 16, 32)
    np.testing.assert_allclose(data.images[0, 0].int(), upright.astype(int), atol=6 if ending == ".jpg" else 1)


def test_other_formats_are_not_opened(images: Path, load: Load) -> None:
    """Whatever the name says: for some formats Pillow would start other programs."""
    (images / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    assert "a.png is no image that can be read (" in refused(load)


# --- shapes ------------------------------------------------------------------------------------------------------


def striped() -> Image.Image:
    """16 x 48: red, green and blue squares in a row."""
    return Image.fromarray(np.repeat(np.array([[RED, GREEN, BLUE]], dtype=np.uint8), 16, axis=1).repeat(16, axis=0))


def test_crop_cuts_out_the_middle(images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    data = load(size=16, fit="crop")
    assert (data.images == torch.tensor(GREEN).view(1, 3, 1, 1)).all()


def test_stretch_keeps_all_of_it(images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    row = load(size=[8, 24], fit="stretch").images[0, :, 4].T.int()
    for column, color in ((0, RED), (12, GREEN), (23, BLUE)):
        assert (row[column] - torch.tensor(color)).abs().max() < 16


@pytest.mark.parametrize(("channels", "bar"), [(3, [0, 0, 0]), (4, [0, 0, 0, 0])])
def test_pad_adds_bars(channels: int, bar: list[int], images: Path, load: Load) -> None:
    striped().save(images / "a.png")
    picture = load(size=48, fit="pad", channels=channels).images[0]
    assert (picture[:, :16] == torch.tensor(bar).view(-1, 1, 1)).all()
    assert (picture[:, 32:] == torch.tensor(bar).view(-1, 1, 1)).all()
    assert torch.equal(picture[:3, 16:32].permute(1, 2, 0), torch.from_numpy(np.array(striped())))


@settings(max_examples=60, derandomize=True)
@given(st.tuples(*[st.integers(1, 300)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.sampled_from([1, 3, 4]))
def test_any_width_and_height(stored: tuple[int, int], wanted: tuple[int, int], channels: int) -> None:
    image = Image.new("RGBA", stored, (30, 60, 90, 255))
    for fit in ("crop", "pad", "stretch"):
        array = decoding._shaped(image, decoding.Recipe(*wanted, fit, channels, {"bytes": BYTES}))
        assert array.dtype == np.uint8 and array.shape == (channels, *wanted)
        if fit != "pad":
            assert (array == array[:, :1, :1]).all()
        assert array[0].max() in (30, 54)  # 54 is the colour's luminance


def test_channels(images: Path, load: Load) -> None:
    draw(images / "a.png", 100)
    assert load().image_shape[0] == 1
    draw(images / "b.png", (10, 200, 100), mode="RGB")
    assert pixels(load()) == [[100] * 3, [10, 200, 100]]
    draw(images / "c.png", (10, 200, 100, 0), mode="RGBA")
    assert pixels(load()) == [[100, 100, 100, 255], [10, 200, 100, 255], [10, 200, 100, 0]]
    assert pixels(load(channels=4)) == pixels(load())
    # What nobody was to see doesn't come to light.
    assert pixels(load(channels=3))[2] == [0, 0, 0]
    gray = round(0.299 * 10 + 0.587 * 200 + 0.114 * 100)
    assert pixels(load(channels=1)) == [[100], [gray], [0]]
    assert pixels(load(channels=1, size=8)) == [[100], [gray], [0]]


def test_size_null(images: Path, load: Load) -> None:
    draw(images / "a.png", 1, (7, 5))
    draw(images / "deep/b.png", 2, (7, 5))
    assert load(size=None).images.shape == (2, 1, 5, 7)
    draw(images / "deep/c.png", 3, (8, 5))
    assert refused(load, size=None) == (
        "dataset.size=null: the images differ in size (a.png is 5x7, deep/c.png 5x8); "
        "choose one, such as dataset.size=64 or dataset.size=[48,80]"
    )
    assert load(size=[6, 9]).images.shape == (3, 1, 6, 9)


# --- the tree ----------------------------------------------------------------------------------------------------


def test_class_folders_become_labels(images: Path, load: Load) -> None:
    for number, path in enumerate(["cat/a.png", "dog/deep/b.png", "dog/c.png", "ant/x/y/d.PNG"]):
        draw(images / path, number)
    (images / "empty").mkdir()
    (images / "notes").mkdir()
    (images / "notes" / "read.txt").touch()
    data = load()
    assert data.classes == ("ant", "cat", "dog") and data.spec.num_classes == 3
    assert data.labels is not None and data.labels.dtype == torch.int64
    # ant/x/y/d, cat/a, dog/c, dog/deep/b
    assert dict(zip(data.images[:, 0, 0, 0].tolist(), data.labels.tolist(), strict=True)) == {3: 0, 0: 1, 2: 2, 1: 2}


@pytest.mark.parametrize("paths", [["a.png", "b.png"], ["one/a.png", "one/b.png"], ["a.png", "one/b.png", "two/c.png"]])
def test_no_labels(paths: list[str], images: Path, load: Load) -> None:
    """No class folders, one alone, or images beside them."""
    for path in paths:
        draw(images / path)
    data = load()
    assert data.labels is None and data.classes == () and len(data.images) == len(paths)


def test_hidden_files_do_not_count(images: Path, load: Load) -> None:
    draw(images / "a.png")
    (images / "._a.png").write_bytes(b"what macOS leaves beside a file")
    draw(images / ".thumbnails/a.png", size=(3, 3))
    (images / "directory.png").mkdir()
    assert len(load().images) == 1


def test_links_are_followed_and_end(images: Path, load: Load, tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/a.png", 5)
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "loop").symlink_to(images)
    (images / "dangling.png").symlink_to(tmp_path / "nothing.png")
    assert pixels(load()) == [[5]]


def test_names_of_any_bytes(images: Path, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    draw(images / "a.png")
    Path(os.fsdecode(os.fsencode(images) + b"/\xff \n;.png")).write_bytes(b"no image")
    with pytest.raises(UserError, match="is no image that can be read"):
        load()
    assert len(load(skip_broken=True).images) == 1
    assert "passed over: " in capsys.readouterr().out


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file.png").touch()
    for place in (tmp_path / "nowhere", tmp_path / "file.png"):
        with pytest.raises(UserError) as caught:
            folder(str(place), str(tmp_path / "cache"))
        assert str(caught.value) == f"dataset.root={place}: no such folder; name the one that holds your images"
    assert not (tmp_path / "cache").exists()


def test_empty_folder(images: Path, load: Load, tmp_path: Path) -> None:
    (images / "movie.mp4").touch()
    (images / "deep").mkdir()
    sentence = refused(load)
    assert sentence.startswith(f"dataset.root={images}: no images there (looked for .png, .jpg, ")
    assert not (tmp_path / "cache").exists()


def test_home_directory_in_root_and_cache(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(images / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(folder("~/images", "~/packed").images) == 1
    assert (tmp_path / "packed").is_dir()


# --- broken images -----------------------------------------------------------------------------------------------


def noise(path: Path, seed: int = 0) -> bytes:
    """An image that doesn't compress, as the file's bytes."""
    array = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(array).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("part", [0.0, 0.002, 0.5])
def test_broken_images(ending: str, part: float, images: Path, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    noise(images / "good.png")
    content = noise(images / f"deep{ending}")
    (images / f"deep{ending}").write_bytes(content[: int(len(content) * part)])
    for options in ({}, {"size": 16}, {"size": 16, "channels": 3}):
        sentence = refused(load, **options)
        assert sentence.startswith(f"dataset.root={images}: deep{ending} ")
        assert sentence.endswith("; remove it, or pass over all such images with dataset.skip_broken=true")
        capsys.readouterr()
        assert len(load(skip_broken=True, **options).images) == 1
        told = capsys.readouterr().out
        assert told.startswith(f"passed over: deep{ending} ") and told.count("\n") == 1


def test_labels_belong_to_what_is_kept(images: Path, load: Load) -> None:
    for number, path in enumerate(["a/1.png", "a/2.png", "b/1.png", "c/1.png"]):
        draw(images / path, number)
    (images / "a/1.png").write_bytes(b"broken")
    (images / "b/1.png").write_bytes(b"broken")
    data = load(skip_broken=True)
    assert data.classes == ("a", "c") and data.labels is not None
    assert (data.labels.tolist(), pixels(data)) == ([0, 1], [[1], [3]])


@pytest.mark.parametrize("options", [{}, {"size": 8}, {"size": 8, "channels": 1}])
def test_nothing_but_broken_images(options: dict[str, Any], images: Path, load: Load) -> None:
    for name in ("a.png", "b.png"):
        (images / name).write_bytes(b"broken")
    sentence = refused(load, skip_broken=True, **options)
    assert sentence == f"dataset.root={images}: none of the 2 images can be read"


def test_a_decompression_bomb_is_refused_from_its_head(images: Path, load: Load, decoded: list[str]) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    (images / "bomb.png").write_bytes(bomb)
    assert len(bomb) < 100
    assert "bomb.png has 10,000 megapixels, more than dataset.max_megapixels=64; remove it" in refused(load)
    assert decoded == []
    assert "10,000 megapixels" in refused(load, size=8, channels=3)  # where heads aren't looked at first


def test_the_limit_is_the_users(images: Path, load: Load) -> None:
    draw(images / "a.png", size=(200, 100))
    assert "a.png has 0.02 megapixels, more than dataset.max_megapixels=0.019" in refused(load, max_megapixels=0.019)
    assert load(max_megapixels=0.02).image_shape == (1, 100, 200)


@pytest.mark.parametrize("options", [{}, {"size": 8, "channels": 1}])
def test_a_file_that_cannot_be_read_is_not_blamed_on_the_cache(
    options: dict[str, Any], images: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(images / "a.png")
    opened = Image.open

    def refusing(path: Path, **rest: Any) -> Image.Image:
        if Path(path).name == "a.png":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, **rest)

    monkeypatch.setattr(Image, "open", refusing)
    sentence = refused(load, **options)
    assert sentence.startswith(f"dataset.root={images}: a.png is no image that can be read (Permission denied); ")


def test_an_error_while_decoding_is_not_blamed_on_the_cache(
    images: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(images / "a.png")

    def failing(self: Image.Image) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", failing)
    assert f"dataset.root={images}: a.png can't be decoded (Input/output error)" in refused(load)


def test_a_folder_that_cannot_be_read_is_named(images: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(images / "a.png")
    (images / "locked").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert refused(load) == f"dataset.root={images}: {images}/locked can't be read (Permission denied)"


# --- the cache ---------------------------------------------------------------------------------------------------


def packings(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.is_dir())


def test_the_second_start_decodes_nothing(
    images: Path, load: Load, decoded: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(3):
        draw(images / f"{number}.png", number)
    first = load()
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    monkeypatch.setattr(Image, "open", None)  # not so much as a head is read
    second = load()
    assert len(decoded) == 3
    assert torch.equal(first.images, second.images) and pixels(second) == [[0], [1], [2]]
    assert len(packings(tmp_path)) == 1


def later(path: Path) -> None:
    """As if saved again, in the same place with the same size."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "added": lambda images: draw(images / "c.png"),
    "removed": lambda images: (images / "b.png").unlink(),
    "renamed": lambda images: (images / "b.png").rename(images / "c.png"),
    "moved": lambda images: ((images / "d").mkdir(), (images / "b.png").rename(images / "d/b.png")),
    "saved again": lambda images: later(images / "b.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_is_packed_anew(
    change: str, images: Path, load: Load, decoded: list[str], tmp_path: Path
) -> None:
    draw(images / "a.png", 1)
    draw(images / "b.png", 2)
    load()
    decoded.clear()
    CHANGES[change](images)
    load()
    assert len(decoded) == len(list(images.rglob("*.png")))
    assert len(packings(tmp_path)) == 2


def test_a_changed_option_is_packed_anew(images: Path, load: Load, decoded: list[str], tmp_path: Path) -> None:
    draw(images / "a.png", 1)
    variants: list[dict[str, Any]] = [
        {},
        {"size": 8},
        {"size": [8, 9]},
        {"size": [9, 8]},
        {"size": 8, "fit": "pad"},
        {"size": 8, "channels": 3},
        {"size": 8, "skip_broken": True},
        {"size": 8, "max_megapixels": 1.0},
        {"size": 8, "range": [0, 255]},
    ]
    for options in [*variants, *variants]:
        load(**options)
    assert len(decoded) == len(packings(tmp_path)) == len(variants)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"count": 3', '"count": 2'))


DAMAGES: list[tuple[str, Callable[[Path], Any]]] = [
    ("images.u8", cut),
    ("images.u8", flip),
    ("images.u8", Path.unlink),
    ("labels.npy", cut),
    ("labels.npy", flip),
    ("labels.npy", Path.unlink),
    ("meta.json", cut),
    ("meta.json", edit),
    ("meta.json", Path.unlink),
    ("meta.json", lambda path: path.write_text("[]")),
    ("meta.json", lambda path: path.write_text('{"digest": null}')),
    ("meta.json", lambda path: path.write_bytes(b"\xff\xfe")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_cache_is_packed_anew(
    name: str, damage: Callable[[Path], Any], images: Path, load: Load, decoded: list[str], tmp_path: Path
) -> None:
    for number in range(3):
        draw(images / f"class {number % 2}/{number}.png", number)
    load()
    decoded.clear()
    damage(packings(tmp_path)[0] / name)
    data = load()
    assert len(decoded) == 3
    assert data.labels is not None and (pixels(data), data.labels.tolist()) == ([[0], [2], [1]], [0, 0, 1])
    load()
    assert len(decoded) == 3


CHILD = """
import sys, threading
import gan_exp.data.folder as module
decode, barrier = module.decode, sys.argv[3]
def slow(path, *rest):
    print(path.name + "\\n", end="", flush=True)
    if barrier == "hang" and path.name == "b.png":
        threading.Event().wait()
    return decode(path, *rest)
module.decode = slow
print("ready", flush=True)
sys.stdin.readline()
print(module.folder(sys.argv[1], sys.argv[2], size=None).images.sum().item())
"""


def child(images: Path, tmp_path: Path, how: str) -> "subprocess.Popen[str]":
    """A process that packs `images` when it reads a line, and prints the names as it decodes them."""
    words = [sys.executable, "-c", CHILD, str(images), str(tmp_path / "cache"), how]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
def test_a_killed_packing_leaves_nothing_that_looks_whole(images: Path, load: Load, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        draw(images / f"{name}.png", number)
    with child(images, tmp_path, "hang") as process:
        go(process)
        assert process.stdout is not None
        while process.stdout.readline() != "b.png\n":
            assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [path.suffix for path in packings(tmp_path)] == [".incomplete"]
    assert pixels(load()) == [[0], [1], [2]]
    assert [path.suffix for path in packings(tmp_path)] == [""]


@pytest.mark.slow
def test_two_at_once_pack_once(images: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw(images / f"{number}.png", number)
    with child(images, tmp_path, "") as first, child(images, tmp_path, "") as second:
        go(first)
        go(second)
        told = [(process.communicate()[0].split(), process.returncode) for process in (first, second)]
    assert [code for _, code in told] == [0, 0]
    assert [lines[-1] for lines, _ in told] == [str(64 * (1 + 2 + 3))] * 2
    decoded = sorted(line for lines, _ in told for line in lines if line.endswith(".png"))
    assert decoded == [f"{number}.png" for number in range(4)]


def test_a_cache_that_cannot_be_written(images: Path, tmp_path: Path) -> None:
    draw(images / "a.png")
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(UserError) as caught:
            folder(str(images), str(cache))
        sentence = str(caught.value)
        assert sentence.startswith(f"dataset.cache={cache}: can't be written (")
        assert sentence.endswith("); name a folder with room for it")


def test_a_full_disk(images: Path, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    draw(images / "a.png")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "dataset.cache=" in refused(load) and "(No space left on device)" in refused(load)
    assert packings(tmp_path) == []


def test_a_whole_cache_need_not_be_writable(images: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(images / "a.png", 3)
    load()

    def refusing(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module, "file_lock", refusing)
    assert pixels(load()) == [[3]]


@pytest.mark.slow
def test_packed_images_are_mapped_into_memory(images: Path, tmp_path: Path) -> None:
    """Of 4,000 images of 96x96 in colour (110 MB), a process that draws batches holds only what it has touched."""
    noise(images / "0.png")
    for number in range(1, 4000):
        os.link(images / "0.png", images / f"{number}.png")
    size = 4000 * 3 * 96 * 96
    child = (
        "import json, re, sys, torch\n"
        "from gan_exp.data.folder import folder\n"
        "def resident(kind):\n"
        "    with open('/proc/self/status') as file:\n"
        "        return int(re.search(kind + r':\\s+(\\d+)', file.read())[1]) * 1024\n"
        "from PIL import Image\n"
        "before = resident('VmHWM')\n"
        "data = folder(sys.argv[1], sys.argv[2], size=96)\n"
        "batch = data.images[torch.arange(0, 4000, 1000)]\n"
        "with open('/proc/self/maps') as file:\n"
        "    mapped = 'images.u8' in file.read()\n"
        "print(json.dumps([list(data.images.shape), batch.sum().item() > 0, mapped, resident('VmHWM') - before]))\n"
    )
    for _ in range(2):  # packing holds no more than mapping
        words = [sys.executable, "-c", child, str(images), str(tmp_path / "cache")]
        told = subprocess.run(words, capture_output=True, text=True, check=True)
        shape, right, mapped, grown = json.loads(told.stdout)
        assert shape == [4000, 3, 96, 96] and right and mapped
        assert grown < size / 2, grown
