"""Files of MNIST's format (IDX), read without torchvision, which imports torch's compiler: a second and 150 MB."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gan_exp.data.packed import PackedImages, Part

BYTES = 8  # the code of their type


def read_idx(files: Path, part: Part, classes: Sequence[str]) -> PackedImages | None:
    """The part of a set of four files; None unless all are there and whole, since torchvision tells what is wrong."""
    names = {(which, kind): files / f"{which}-{kind}-ubyte" for which in ("train", "t10k") for kind in _DIMENSIONS}
    headers = {key: _whole_header(path) for key, path in names.items() if path.is_file()}
    if len(headers) < len(names) or not all(headers.values()):
        return None
    which = "train" if part == "train" else "t10k"
    images, labels = (
        _read(names[which, kind], headers[which, kind], dimensions) for kind, dimensions in _DIMENSIONS.items()
    )
    if images is None or labels is None or len(images) != len(labels) or not 0 <= labels.max() < len(classes):
        return None
    return PackedImages(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long(), tuple(classes))


def is_whole_idx(path: Path) -> bool:
    """Whether an IDX file is as long as its header says: [0, 0, type, dimensions], then each size in four bytes."""
    return _whole_header(path) is not None


class _Header(NamedTuple):
    kind: bytes  # two zeros, the type and the number of dimensions
    sizes: list[int]


_DIMENSIONS = {"images-idx3": 3, "labels-idx1": 1}


def _whole_header(path: Path) -> _Header | None:
    """None if the file has another length than it says."""
    with path.open("rb") as file:
        start = file.read(16)
    sizes = [int.from_bytes(start[4 * k : 4 * k + 4]) for k in range(1, int.from_bytes(start[3:4]) + 1)]
    whole = len(sizes) > 0 and path.stat().st_size == 4 * (1 + len(sizes)) + math.prod(sizes)
    return _Header(start[:4], sizes) if whole else None


def _read(path: Path, header: _Header | None, dimensions: int) -> np.ndarray | None:
    """None for another type or number of dimensions, and for no images."""
    if header is None or header.kind != bytes((0, 0, BYTES, dimensions)) or 0 in header.sizes:
        return None
    return np.fromfile(path, np.uint8, offset=4 * (1 + dimensions)).reshape(header.sizes)
