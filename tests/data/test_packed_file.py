"""The cache of a folder: packed once, checked, and packed anew after a change or damage."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import gan_exp.data.folder as module
from gan_exp.data.folder import folder
from gan_exp.errors import UserError
from image_folders import Load, draw, noise, pixels, refused


def packings(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.is_dir())


def test_the_second_run_decodes_nothing(
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
def test_a_killed_packing_leaves_nothing_that_looks_complete(images: Path, load: Load, tmp_path: Path) -> None:
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
        output = [(process.communicate()[0].split(), process.returncode) for process in (first, second)]
    assert [code for _, code in output] == [0, 0]
    assert [lines[-1] for lines, _ in output] == [str(64 * (1 + 2 + 3))] * 2
    decoded = sorted(line for lines, _ in output for line in lines if line.endswith(".png"))
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
        output = subprocess.run(words, capture_output=True, text=True, check=True)
        shape, right, mapped, grown = json.loads(output.stdout)
        assert shape == [4000, 3, 96, 96] and right and mapped
        assert grown < size / 2, grown
