"""Packed images on the disk: a directory with the raw pixels, which are mapped into memory, and a checked digest."""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_exp.data.file_names import FileNames, names_in
from gan_exp.runtime.files import json_text

IMAGES, LABELS, META = "images.u8", "labels.npy", "meta.json"
FRACTIONS = "fractions.npy"  # folders that earlier versions packed have none
ANOTHER_CACHE = "a cache on another disk with dataset.cache=DIR, or in the variable GAN_EXP_CACHE"
CHECKED_BLOCKS, BLOCK = 64, 1 << 16  # how much of the pixels the digest covers


@contextmanager
def staging_directory(packed: Path) -> Iterator[Path]:
    """A new directory that replaces `packed` at the end; after an exception it is removed instead."""
    staging = packed.with_name(f"{packed.name}.incomplete")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        shutil.rmtree(packed, ignore_errors=True)
        staging.rename(packed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fraction_of(content: bytes | memoryview) -> float:
    """A hash of an image's pixels as a number in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest()) / 2**32


def write_labels_and_meta(directory: Path, labels: np.ndarray, meta: dict[str, Any]) -> None:
    """Complete a directory that holds the pixels. `meta` has at least count, channels, height, width and classes."""
    np.save(directory / LABELS, labels)
    (directory / META).write_text(json_text({**meta, "digest": digest(directory, meta)}), encoding="utf-8")


def digest(directory: Path, meta: dict[str, Any]) -> str:
    """A digest of `meta`, the labels, the size of the pixels' file and blocks spread evenly over it.

    It finds a truncated or half-written file without reading all of it.
    """
    images = directory / IMAGES
    size = images.stat().st_size
    digest = hashlib.blake2b(json.dumps([meta, size], sort_keys=True).encode(), digest_size=16)
    digest.update((directory / LABELS).read_bytes())
    with images.open("rb") as file:
        for number in range(CHECKED_BLOCKS):
            file.seek(max(0, (size - BLOCK) * number // (CHECKED_BLOCKS - 1)))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


class PackedArrays(NamedTuple):
    """What a directory holds, for what needs no torch."""

    images: np.ndarray  # uint8 [N, C, H, W], mapped into memory
    labels: np.ndarray | None  # int64 [N]
    classes: tuple[str, ...]
    reading: dict[str, Any] | None
    fractions: np.ndarray | None  # float64 [N], `fraction_of` each image
    names: FileNames | None


def read_meta(directory: Path) -> Any:
    return json.loads((directory / META).read_text(encoding="utf-8"))


def is_whole(directory: Path) -> bool:
    """Whether digest and content are right: anyone can write a file with a valid digest."""
    try:
        meta = read_meta(directory)
        if meta.pop("digest") != digest(directory, meta):
            return False
        open_arrays(directory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return False
    return True


def open_arrays(directory: Path) -> PackedArrays:
    """Pages are read when batches need them, and dropped when memory is short."""
    meta = read_meta(directory)
    shape = (meta["count"], meta["channels"], meta["height"], meta["width"])
    images = directory / IMAGES
    if min(shape) < 1 or math.prod(shape) != images.stat().st_size:
        raise ValueError(f"{images} does not hold {shape}")
    mapped = np.memmap(images, np.uint8, mode="c", shape=shape).view(np.ndarray)  # what is written to it stays here
    labels = np.load(directory / LABELS) if meta["classes"] else None
    if labels is not None and (labels.dtype != np.int64 or labels.shape != shape[:1]):
        raise ValueError(f"{directory / LABELS} does not hold {shape[0]} labels")
    if labels is not None and not 0 <= labels.min() <= labels.max() < len(meta["classes"]):
        raise ValueError("labels without a class")
    fractions = np.load(directory / FRACTIONS) if (directory / FRACTIONS).exists() else None
    if fractions is not None and (fractions.dtype != np.float64 or fractions.shape != shape[:1]):
        raise ValueError(f"{directory / FRACTIONS} does not hold {shape[0]} numbers")
    return PackedArrays(mapped, labels, tuple(meta["classes"]), meta.get("reading"), fractions, names_in(directory))
