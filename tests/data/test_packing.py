"""Packing a folder in processes: killed, two at once, and within little memory."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from image_folders import Load, draw, noise, packings, pixels

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
