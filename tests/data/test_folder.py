"""The tree of a folder's images: classes, links, and images that can't be read."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gan_exp.data.folder import folder
from gan_exp.data.reading import reading_lines
from gan_exp.errors import UserError
from image_folders import Load, draw, noise, pixels, refused


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


def test_links_are_followed_without_end(images: Path, load: Load, tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/a.png", 5)
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "loop").symlink_to(images)
    (images / "dangling.png").symlink_to(tmp_path / "nothing.png")
    assert pixels(load()) == [[5]]


def test_images_are_in_the_order_of_their_paths(images: Path, load: Load) -> None:
    """Folder by folder: runs that were packed before resume only if the order stays."""
    names = ["a/2.png", "a b/1.png", "a!.png", "a-/3.png", "B.png", "a/2/4.png", "z.png"]
    for number, path in enumerate(sorted(images / name for name in names)):
        draw(path, number)
    assert pixels(load()) == [[number] for number in range(len(names))]


def test_names_of_any_bytes(images: Path, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    draw(images / "a.png")
    Path(os.fsdecode(os.fsencode(images) + b"/\xff \n;.png")).write_bytes(b"no image")
    with pytest.raises(UserError, match="can't be read as an image"):
        load()
    assert len(load(skip_broken=True).images) == 1
    assert "skipped: " in capsys.readouterr().out


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file.png").touch()
    for name, why in (
        ("nowhere", "no such folder; name the one that holds your images"),
        ("file.png", "is a file, and no .zip; name the folder with your images, or a zip file of it"),
    ):
        with pytest.raises(UserError) as caught:
            folder(str(tmp_path / name), str(tmp_path / "cache"))
        assert str(caught.value) == f"dataset.root={tmp_path / name}: {why}"
    assert not (tmp_path / "cache").exists()


def test_empty_folder(images: Path, load: Load, tmp_path: Path) -> None:
    (images / "movie.mp4").touch()
    (images / "deep").mkdir()
    sentence = refused(load)
    assert sentence.startswith(f"dataset.root={images}: no images there (looked for .png, .jpg, ")
    assert sentence.endswith(" at every depth; it has 1 .mp4)")
    assert not (tmp_path / "cache").exists()


def test_home_directory_in_root_and_cache(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(images / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(folder("~/images", "~/packed").images) == 1
    assert (tmp_path / "packed").is_dir()


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("part", [0.0, 0.002, 0.5])
def test_broken_images(ending: str, part: float, images: Path, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    noise(images / "good.png")
    content = noise(images / f"deep{ending}")
    (images / f"deep{ending}").write_bytes(content[: int(len(content) * part)])
    for options in ({}, {"size": 16}, {"size": 16, "channels": 3}):
        sentence = refused(load, **options)
        assert sentence.startswith(f"dataset.root={images}: deep{ending} ")
        assert sentence.endswith("; remove it, or skip all such images with dataset.skip_broken=true")
        capsys.readouterr()
        assert len(load(skip_broken=True, **options).images) == 1
        output = capsys.readouterr().out
        assert output.startswith(f"skipped: deep{ending} ") and output.count("\n") == 1


def test_labels_belong_to_the_images_that_are_kept(images: Path, load: Load) -> None:
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
    assert sentence.startswith(f"dataset.root={images}: none of the 2 images can be read (a.png can't be read as an ")


def test_of_many_broken_images_some_are_named(images: Path, load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        (images / f"{number:02}.png").write_bytes(b"broken")
    draw(images / "a.png", 50)
    reading = load(skip_broken=True).reading
    assert reading is not None and len(reading["broken"]) == 25
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21 and lines[-1] == "skipped: others too; a run's data.json names them all"


def test_a_decompression_bomb_is_refused_from_its_header(images: Path, load: Load, decoded: list[str]) -> None:
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
    assert "10,000 megapixels" in refused(load, size=8, channels=3)  # where headers aren't read first


def test_the_limit_can_be_set(images: Path, load: Load) -> None:
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
    assert sentence.startswith(f"dataset.root={images}: a.png can't be read as an image (Permission denied); ")


def test_a_file_that_is_removed_meanwhile_is_no_broken_image(
    images: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies or moves images meanwhile would otherwise train on what happened to be there."""
    draw(images / "a.png")
    draw(images / "b.png")
    opened = Image.open

    def removing(path: Path, **rest: Any) -> Image.Image:
        (images / "b.png").unlink(missing_ok=True)
        return opened(path, **rest)

    monkeypatch.setattr(Image, "open", removing)
    sentence = refused(load, skip_broken=True)
    assert sentence.startswith(f"dataset.root={images}: b.png was removed while the folder was read; start again")


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


def test_a_stray_image_beside_the_classes_is_named_and_left_out(images: Path, load: Load) -> None:
    for path in ("cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", "cover.png"):
        draw(images / path)
    data = load()
    assert data.classes == ("cat", "dog") and len(data.images) == 4
    assert data.reading is not None and data.reading["strays"] == ["cover.png"]
    assert "left out: cover.png, beside the folders that are the classes" in reading_lines(data.reading)


@pytest.mark.parametrize(("train", "held_out"), [("train", "test"), ("Training", "val"), ("train", "validation")])
def test_folders_of_a_split(train: str, held_out: str, images: Path, load: Load) -> None:
    """The classes are those of the part to train on; images of other ones are left out of the held-out part."""
    for number, path in enumerate(["cat/a.png", "dog/a.png", "dog/b.png"]):
        draw(images / train / path, number)
    for number, path in enumerate(["dog/c.png", "cow/a.png"], start=3):
        draw(images / held_out / path, number)
    data, other = load(), load(part="held_out")
    assert data.classes == other.classes == ("cat", "dog")
    assert (pixels(data), data.labels.tolist()) == ([[0], [1], [2]], [0, 1, 1])
    assert (pixels(other), other.labels.tolist()) == ([[3]], [1])
    assert other.reading["strays"] == [f"{held_out}/cow/a.png"]
    assert any(line.startswith("parts: ") for line in reading_lines(data.reading))


def test_a_split_without_classes(images: Path, load: Load) -> None:
    draw(images / "train/a.png", 1)
    draw(images / "test/b.png", 2)
    assert (pixels(load()), pixels(load(part="held_out"))) == ([[1]], [[2]])
    assert load().labels is None
    draw(images / "more/c.png", 3)  # so train and test are classes like any other
    assert load().classes == ("more", "test", "train") and load(part="held_out") is None


def test_both_parts_have_the_same_channels(images: Path, load: Load) -> None:
    draw(images / "train/a.png", 1)
    draw(images / "test/b.png", (1, 2, 3), mode="RGB")
    assert load().image_shape == load(part="held_out").image_shape == (3, 8, 8)
