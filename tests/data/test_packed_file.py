"""The cache of a folder: packed once, checked, and packed anew after a change or damage."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_exp.data.packing as module
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from image_folders import Load, draw, packings, pixels, refused


def test_the_second_run_decodes_nothing(
    images: Path, load: Load, decoded: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(3):
        draw(images / f"{number}.png", number)
    first = load()
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    monkeypatch.setattr(Image, "open", None)  # not even a header is read
    second = load()
    assert len(decoded) == 3
    assert torch.equal(first.images, second.images) and pixels(second) == [[0], [1], [2]]
    assert len(packings(tmp_path)) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose size and time the system was asked for."""
    names: list[str] = []
    stat = os.stat

    def noted(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        names.append(Path(path).name if isinstance(path, str | Path) else "")
        return stat(path, *rest, **options)

    monkeypatch.setattr(os, "stat", noted)
    return names


def test_the_second_run_asks_once_for_each_file(images: Path, load: Load, asked: list[str]) -> None:
    """What it costs on a network's disk."""
    draw(images / "a/1.png")
    draw(images / "2.png")
    load()
    asked.clear()
    load()
    assert sorted(name for name in asked if name.endswith(".png")) == ["1.png", "2.png"]


def test_a_folder_without_parts_is_not_searched_for_one(images: Path, load: Load, asked: list[str]) -> None:
    draw(images / "train/1.png")
    asked.clear()
    assert load(part="held_out") is None and "1.png" not in asked
    draw(images / "Val/2.png", 2)
    assert pixels(load(part="held_out")) == [[2]] and "1.png" in asked


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


def test_a_cache_that_cannot_be_written(images: Path, tmp_path: Path) -> None:
    draw(images / "a.png")
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(UserError) as caught:
            folder(str(images), str(cache))
        sentence = str(caught.value)
        assert sentence.startswith(f"dataset.cache={cache}: can't be written (")
        assert sentence.endswith(
            "make room, or name a cache on another disk with dataset.cache=DIR, or in the variable GAN_EXP_CACHE"
        )


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


def test_the_images_hashes_are_kept(images: Path, load: Load, decoded: list[str], tmp_path: Path) -> None:
    """Which of them are held out is known without reading any; folders that were packed before go without."""
    for number in range(40):
        draw(images / f"{number:02d}.png", number)
    data = load()
    assert data.fractions is not None
    plain = PackedImages(data.images).split_by_hash(0.3)
    (file,) = packings(tmp_path)[0].glob("fractions.npy")
    file.unlink()
    without = load()
    assert without.fractions is None and len(decoded) == 40
    for parts in (data.split_by_hash(0.3), without.split_by_hash(0.3)):
        assert [pixels(part) for part in parts] == [pixels(part) for part in plain]
        assert all(part.fractions is None for part in parts)
    np.save(file, np.zeros(39))
    again = load()
    assert len(decoded) == 80 and again.fractions is not None and torch.equal(again.fractions, data.fractions)
