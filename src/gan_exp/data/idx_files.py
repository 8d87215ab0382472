"""Files of MNIST's format (IDX), read without torchvision, which imports torch's compiler: a second and 150 MB."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gan_exp.data.packed import PackedImages, Part

BYTES = 8  # the code of their type


def read_idx(files: Path, part: Part, classes: Sequence[str]) -> PackedImages | None:
    """The part of a set of four files; None unless all are there and whole, since torchvision tells what is wrong."""
    names = {(which, kind): files / f"{which}-{kind}-ubyte" for which in ("train", "t10k") for kind in _DIMENSIONS}
    if not all(path.is_file() and is_whole_idx(path) for path in names.values()):
        return None
    which = "train" if part == "train" else "t10k"
    images, labels = (_read(names[which, kind], dimensions) for kind, dimensions in _DIMENSIONS.items())
    if images is None or labels is None or len(images) != len(labels) or not 0 <= labels.max() < len(classes):
        return None
    return PackedImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long(), tuple(classes))


def is_whole_idx(path: Path) -> bool:
    """Whether an IDX file is as long as its header says: [0, 0, type, dimensions], then each size in four bytes."""
    sizes = _sizes(path)
    return len(sizes) > 0 and path.stat().st_size == 4 * (1 + len(sizes)) + math.prod(sizes)


_DIMENSIONS = {"images-idx3": 3, "labels-idx1": 1}


def _read(path: Path, dimensions: int) -> np.ndarray | None:
    """None for another type or number of dimensions, and for no images."""
    sizes = _sizes(path)
    with path.open("rb") as file:
        fits = file.read(4) == bytes((0, 0, BYTES, dimensions))
    if not fits or len(sizes) != dimensions or 0 in sizes:
        return None
    return np.fromfile(path, np.uint8, offset=4 * (1 + dimensions)).reshape(sizes)


def _sizes(path: Path) -> list[int]:
    with path.open("rb") as file:
        header = file.read(16)
    return [int.from_bytes(header[4 * k : 4 * k + 4]) for k in range(1, int.from_bytes(header[3:4]) + 1)]
