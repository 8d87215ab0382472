"""Packing a folder in processes: killed, two at once, and within little memory."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import gan_exp.data.packing as module
from gan_exp.data.brightness import Scale
from gan_exp.data.common_format import Options
from gan_exp.data.folder import folder
from gan_exp.data.image_tree import ImageTree
from gan_exp.data.labels_file import FileLabels
from gan_exp.data.packed import Part
from image_folders import Load, draw, noise, packings, pixels, refused


class Child(NamedTuple):
    process: BaseProcess
    pipe: Connection  # gives the names of the files as they are decoded, then the sum of all pixels

    def rest(self) -> list[Any]:
        found = []
        with suppress(EOFError):
            while True:
                found.append(self.pipe.recv())
        self.process.join()
        return found


def start(images: Path, tmp_path: Path, hang: bool) -> Child:
    """A process that packs `images` when something is sent to it; it may stop at b.png for ever."""
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()

    def pack() -> None:
        decode = module.decode

        def noted(path: Path, *rest: Any) -> np.ndarray:
            theirs.send(path.name)
            if hang and path.name == "b.png":
                threading.Event().wait()
            return decode(path, *rest)

        module.decode = noted
        theirs.recv()
        theirs.send(folder(str(images), str(tmp_path / "cache"), size=None).images.sum().item())  # type: ignore[union-attr]

    process = forking.Process(target=pack, daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours)


def test_a_killed_packing_leaves_nothing_that_looks_complete(images: Path, load: Load, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        draw(images / f"{name}.png", number)
    child = start(images, tmp_path, hang=True)
    child.pipe.send("go")
    while child.pipe.recv() != "b.png":
        pass
    child.process.kill()
    child.process.join()
    assert child.process.exitcode == -signal.SIGKILL
    assert [path.suffix for path in packings(tmp_path)] == [".incomplete"]
    assert pixels(load()) == [[0], [1], [2]]
    assert [path.suffix for path in packings(tmp_path)] == [""]


def test_two_at_once_pack_once(images: Path, tmp_path: Path) -> None:
    for number in range(4):
        draw(images / f"{number}.png", number)
    children = [start(images, tmp_path, hang=False) for _ in range(2)]
    for child in children:
        child.pipe.send("go")
    found = [child.rest() for child in children]
    assert [child.process.exitcode for child in children] == [0, 0]
    assert [messages.pop() for messages in found] == [64 * (1 + 2 + 3)] * 2
    assert sorted(name for messages in found for name in messages) == [f"{number}.png" for number in range(4)]


@pytest.mark.parametrize("first", [False, True])
def test_a_folder_without_broken_images_is_packed_once_whether_they_are_skipped_or_not(
    first: bool, images: Path, load: Load, tmp_path: Path
) -> None:
    draw(images / "a.png")
    load(skip_broken=first)
    load(skip_broken=not first)
    assert len(packings(tmp_path)) == 1


def test_a_folder_that_was_packed_without_its_broken_images_is_refused_still(
    images: Path, load: Load, tmp_path: Path
) -> None:
    draw(images / "a.png")
    (images / "b.png").write_bytes(b"no image")
    load(skip_broken=True)
    assert "b.png can't be read as an image" in refused(load)
    load(skip_broken=True)
    assert len(packings(tmp_path)) == 1


def test_a_packed_folder_is_named_after_all_that_it_depends_on() -> None:
    stamps = {"a.png": (10, 20), "b/\udcff.png": (30, 40)}

    def name(options: Options, skip_broken: bool = False, part: Part = "train", label: str | None = None) -> str:
        labels = None if label is None else FileLabels("labels.csv", {}, ["c.png"], label)
        tree = ImageTree(Path("/"), list(stamps), False, labels=labels)
        return module._Found(tree, tree, part, stamps, Counter()).name(options, skip_broken)

    chosen: list[dict[str, Any]] = [
        *({"size": 64}, {"size": (48, 80)}, {"fit": "pad"}, {"channels": 3}, {"scale": Scale(0.0, 100.0)}),
        *({"background": (1, 2, 3)}, {"max_megapixels": 1.0}),
    ]
    names = {name(Options(**one)) for one in ({}, *chosen)}
    names |= {name(Options(), **one) for one in ({"skip_broken": True}, {"part": "held_out"})}  # type: ignore[arg-type]
    names |= {name(Options(), label=digest) for digest in ("00", "01")}
    assert len(names) == 1 + len(chosen) + 4
    assert name(Options([48, 80])) == name(Options((48, 80)))  # type: ignore[arg-type]


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
    for _ in range(2):  # packing needs no more memory than mapping
        words = [sys.executable, "-c", child, str(images), str(tmp_path / "cache")]
        output = subprocess.run(words, capture_output=True, text=True, check=True)
        shape, right, mapped, grown = json.loads(output.stdout)
        assert shape == [4000, 3, 96, 96] and right and mapped
        assert grown < size / 2, grown
