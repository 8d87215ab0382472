"""Images, checkpoints and packed folders from elsewhere can't exhaust the memory; forged ones are refused."""

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from builders import refused
from gan_exp.cli import main
from gan_exp.data.folder import folder
from gan_exp.data.packed_file import digest
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import find_fault, load_checkpoint
from gan_exp.runs.run_dir import RunDir


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [
        (b"IHDR", head),
        *chunks,
        (b"IDAT", zlib.compress(bytes((width % 4000 + 1) * (height % 4000)))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def inflating(gibibytes: float) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(int(gibibytes * 1024))) + packer.flush()


def peak_mib() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


linux = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux to measure the memory")


@pytest.mark.slow
@linux
@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_packed_texts_and_profiles_in_an_image(kind: bytes, tmp_path: Path) -> None:
    place = tmp_path / "images"
    place.mkdir()
    data = inflating(0.25)
    between = {b"zTXt": b"a\0\0", b"iCCP": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[kind]
    (place / "bomb.png").write_bytes(png(8, 8, (kind, between + data)))
    forget_peak()
    before = peak_mib()
    try:
        assert len(folder(str(place), str(tmp_path / "cache"), size=8).images) == 1
    except UserError as error:
        assert "bomb.png" in str(error) and "\n" not in str(error)
    assert peak_mib() - before < 200


def test_huge_heads_of_every_format(tmp_path: Path) -> None:
    place = tmp_path / "images"
    place.mkdir()
    small = Image.new("RGB", (16, 16))
    for ending in ("bmp", "tiff", "webp", "jpeg"):
        buffer = io.BytesIO()
        small.save(buffer, format=ending.upper())
        data = bytearray(buffer.getvalue())
        match ending:
            case "bmp":
                data[18:26] = struct.pack("<ii", 60_000, 60_000)
            case "jpeg":
                start = data.index(b"\xff\xc0")
                data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
            case "tiff":  # 16, which follows the tags of width and height
                for tag in (256, 257):
                    at = data.index(struct.pack("<HHI", tag, 4, 1))
                    data[at + 8 : at + 12] = struct.pack("<I", 60_000)
        path = place / f"bomb.{ending}"
        path.write_bytes(data)
        if ending != "webp":  # whose sides have 14 bits: none is too large
            with pytest.raises(UserError, match=rf"bomb\.{ending} has 3,600 megapixels"):
                folder(str(place), str(tmp_path / "cache"), size=8)
        path.unlink()


@pytest.mark.slow
@linux
def test_a_compressed_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """torch would decompress them to a thousand times their size."""
    path = RunDir(run).checkpoint(4)
    with zipfile.ZipFile(path) as whole:
        parts = {part.filename: whole.read(part) for part in whole.infolist()}
    name = next(name for name in parts if name.endswith("data/0"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, data in parts.items():
            if part != name:
                archive.writestr(part, data)
        with archive.open(name, "w", force_zip64=True) as file:
            for _ in range(256):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 3 << 20
    forget_peak()
    before = peak_mib()
    assert find_fault(path) == "its parts hold more than the file"
    assert "the checkpoint is damaged" in refused(["sample", "run", "--checkpoint", str(path)], capsys)
    assert main(["sample", "run"]) == 0  # with the one before
    assert peak_mib() - before < 200


def test_a_checkpoint_with_overlapping_parts(tmp_path: Path) -> None:
    """Many entries refer to the same bytes."""
    path = tmp_path / "step-00000001.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", bytes(100_000))
        first = archive.getinfo("archive/data/0")
        for _ in range(100):
            archive.filelist.append(first)
        archive._didModify = True  # type: ignore[attr-defined]
    assert find_fault(path) is not None
    with pytest.raises(UserError, match="the checkpoint is damaged"):
        load_checkpoint(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"step": "4"},
        {"generator": None},
        {"generator": {"x": torch.zeros(1)}},
        {"generator_ema": {}},
        {"generator_ema": 5},
        {"image_shape": [1]},
        {"image_shape": [1, 8, "8"]},
        {"image_shape": None},
        {"num_classes": "x"},
        {"window": None},
        {"generator_optimizer": {}},
        {"generator_optimizer": {"state": [], "param_groups": 5}},
        {"config": 5},
        {"config": {"lr": [1]}},
        {"threads": "x"},
        {"threads": -1},
        {"images_seen": None},
    ],
    ids=str,
)
def test_a_checkpoint_with_invalid_content(
    changes: dict[str, object], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (2, 4):
        path = RunDir(run).checkpoint(step)
        if path.exists():
            torch.save({**torch.load(path, weights_only=True), **changes}, path)
    RunDir(run).checkpoint(0).unlink(missing_ok=True)
    refused(["resume", "run", "steps=6"], capsys)
    capsys.readouterr()
    assert main(["sample", "run"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("what", ["a pickle", "fewer pixels", "other labels", "no numbers"])
def test_a_packed_folder_from_elsewhere(what: str, tmp_path: Path) -> None:
    """Anyone can write a valid digest: nothing in it may be executed, and it is packed anew unless it is consistent."""
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 255).save(tmp_path / "images" / name / "x.png")

    def load() -> torch.Tensor:
        return folder(str(tmp_path / "images"), str(tmp_path / "cache"), size=8).images

    assert load().shape == (2, 1, 8, 8)
    (packed,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    meta = json.loads((packed / "meta.json").read_text())
    del meta["digest"]
    match what:
        case "a pickle":
            traps = np.array([Trap(tmp_path / "trace")] * 2, dtype=object)
            np.save(packed / "labels.npy", traps, allow_pickle=True)
        case "fewer pixels":
            meta["count"] = 10**9
        case "other labels":
            np.save(packed / "labels.npy", np.zeros(5, dtype=np.int64))
        case "no numbers":
            meta["height"] = "8"
    (packed / "meta.json").write_text(json.dumps({**meta, "digest": digest(packed, meta)}))
    assert load().shape == (2, 1, 8, 8) and not (tmp_path / "trace").exists()
