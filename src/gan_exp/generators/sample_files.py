"""Samples as files, written while they are drawn: a picture, a folder of PNGs, or an array."""

import io
import os
import re
import secrets
import shutil
import zipfile
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from gan_exp.data.packed import DataSpec, to_uint8
from gan_exp.display.images import encode_png, image_grid, scatter_plot, to_pil
from gan_exp.display.row_names import with_row_names
from gan_exp.errors import UserError
from gan_exp.runtime.files import PARTIAL, write_atomically

MOST_PIXELS, MOST_IMAGES, MOST_POINTS = 1 << 26, 4096, 1_000_000  # of a picture
MOST_ROWS = 64  # of a picture with a class to each row
OF_EACH_CLASS = 8  # in such a picture
LONGEST_NAME = 40  # letters of a class in a file's name


def usual_count(classes: int, otherwise: int) -> int:
    """How many samples a picture shows, if nobody says: 8 of each class, if there are some and not too many."""
    return OF_EACH_CLASS * classes if 1 < classes <= MOST_ROWS else otherwise


class SampleFiles(Protocol):
    def add(self, indices: range, images: Tensor, labels: Tensor | None) -> None:
        """More samples, floats [N, C, H, W], and their classes [N] if they have some."""

    def finish(self) -> None:
        """Complete the output with the samples added, which may be fewer than were announced."""

    def discard(self) -> None:
        """Remove what is half written."""


class Picture:
    """One PNG: a grid, of a few classes with a named row for each; of points a plot."""

    def __init__(self, path: Path, spec: DataSpec, names: tuple[str, ...], count: int) -> None:
        _, height, width = spec.image_shape
        points = spec.extent is not None
        most = MOST_POINTS if points else max(1, min(MOST_IMAGES, MOST_PIXELS // (height * width)))
        if count > most:
            what = f"plot shows at most {most} points" if points else f"grid shows at most {most} of {height}x{width}"
            others = "a .npy or .npz" if points else "a folder, a .npy or .npz"
            raise UserError(f"--count {count}: a {what}; name {others} with --output")
        self._path, self._spec, self._names = path, spec, names
        self._images: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, indices: range, images: Tensor, labels: Tensor | None) -> None:
        self._images.append(images if self._spec.extent is not None else to_uint8(images))
        if labels is not None:
            self._labels.append(labels)

    def finish(self) -> None:
        labels = torch.cat(self._labels) if self._labels else None
        picture = as_picture(torch.cat(self._images), labels, self._spec, self._names)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=3)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, buffer.getvalue(), durable=False)

    def discard(self) -> None: ...


def as_picture(
    images: Tensor, labels: Tensor | None, spec: DataSpec, names: tuple[str, ...], columns: int | None = None
) -> Image:
    """A plot of points, or a grid of uint8 [N, C, H, W]: with `columns`, else with a named row for each of few classes,
    else about square.
    """
    if spec.extent is not None:
        return to_pil(scatter_plot(images, spec.extent))
    if columns is None and labels is not None and 1 < len(labels.unique()) <= MOST_ROWS:
        return _picture_of_classes(images, labels, names)
    columns = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    rows = -(-len(images) // columns)
    return to_pil(image_grid(_filled(images, rows * columns), rows, columns))


def _picture_of_classes(images: Tensor, labels: Tensor, names: tuple[str, ...]) -> Image:
    present = labels.unique().tolist()
    columns = max(int((labels == label).sum()) for label in present)
    rows = torch.cat([_filled(images[labels == label], columns) for label in present])
    grid = to_pil(image_grid(rows, len(present), columns))
    return with_row_names(grid, [names[label] for label in present], present)


def _filled(images: Tensor, count: int) -> Tensor:
    """`images` and black ones, together `count`."""
    return torch.cat([images, images.new_zeros(count - len(images), *images.shape[1:])])


class Folder:
    """One PNG for each sample: seed0-000017-seven.png."""

    def __init__(self, path: Path, seed: int, names: tuple[str, ...]) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path, self._seed = path, seed
        self._names = [_safe(name) or str(number) for number, name in enumerate(names)]
        self._before = samples_in(path, seed)

    def add(self, indices: range, images: Tensor, labels: Tensor | None) -> None:
        classes = [""] * len(indices) if labels is None else [f"-{self._names[label]}" for label in labels.tolist()]
        for index, image, name in zip(indices, to_uint8(images), classes, strict=True):
            path = self._path / f"seed{self._seed}-{index:06d}{name}.png"
            write_atomically(path, encode_png(image), durable=False)
            old = self._before.get(index, path.name)
            if old != path.name:  # the same sample, as another class
                (self._path / old).unlink(missing_ok=True)

    def finish(self) -> None: ...

    def discard(self) -> None: ...


def samples_in(folder: Path, seed: int) -> dict[int, str]:
    """The samples of `seed` that a folder holds: their names by their indices."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    matches = (re.match(rf"seed{seed}-(\d{{6,}})[-.]", name) for name in names)
    return {int(match[1]): match.string for match in matches if match}


def _safe(name: str) -> str:
    """`name` without what a file's name can't hold, or what a shell would not take as it stands."""
    return re.sub(r"[^\w.]+", "-", name).strip("-._")[:LONGEST_NAME]


class Array:
    """A .npy of uint8 [N, H, W, C], of points float32 [N, 2]; a .npz holds it as `images`, beside `labels`.

    The samples are appended to a file, so that none of them stay in the memory.
    """

    def __init__(self, path: Path, spec: DataSpec, count: int) -> None:
        channels, height, width = spec.image_shape
        self._path, self._spec = path, spec
        self._dtype = "|u1" if spec.extent is None else "<f4"
        self._shape: tuple[int, ...] = (height, width, channels) if spec.extent is None else (channels,)
        path.parent.mkdir(parents=True, exist_ok=True)
        needed = count * channels * height * width * np.dtype(self._dtype).itemsize
        free = shutil.disk_usage(path.parent).free
        if needed > free:
            raise UserError(f"--output {path}: needs {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free there")
        self._partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}{PARTIAL}")
        self._file = self._partial.open("wb")
        self._labels: list[Tensor] = []
        self._count = 0
        self._write_header()

    def _write_header(self) -> None:
        """As long as any other: NumPy leaves room for each number of rows."""
        header = {"descr": self._dtype, "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, indices: range, images: Tensor, labels: Tensor | None) -> None:
        rows = images.flatten(1) if self._spec.extent is not None else to_uint8(images).permute(0, 2, 3, 1)
        self._file.write(rows.contiguous().numpy().data)
        self._count += len(indices)
        if labels is not None:
            self._labels.append(labels)

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()
        if self._path.suffix.lower() == ".npz":
            self._compress()
        os.replace(self._partial, self._path)

    def _compress(self) -> None:
        plain, packed = self._partial, self._partial.with_name(f"{self._partial.stem}-npz{PARTIAL}")
        self._partial = packed
        try:
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(plain, "images.npy")
                if self._labels:
                    with archive.open("labels.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, torch.cat(self._labels).numpy())
        finally:
            plain.unlink(missing_ok=True)

    def discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)
