"""The image files below a folder: found, named in messages, and processed on all cores."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from gan_exp.data.decode import BrokenImage
from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FILES_AT_ONCE = 256

Result = TypeVar("Result")


def find_images(root: Path) -> list[Path]:
    """All image files at every depth, sorted. Links are followed, but no folder is visited twice.

    Hidden files and folders are left out. Raises UserError if there are no images or a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"dataset.root={root}: {error.filename} can't be read ({error.strerror})") from error

    if not root.is_dir():
        raise UserError(f"dataset.root={root}: no such folder; name the one that holds your images")
    files, seen = [], set()
    for parent, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        files += [Path(parent, name) for name in names if name.lower().endswith(ENDINGS) and name[0] != "."]
    files = sorted(path for path in files if path.is_file())
    if not files:
        raise UserError(f"dataset.root={root}: no images there (looked for {', '.join(ENDINGS)} at every depth)")
    return files


@dataclass(frozen=True)
class ImageTree:
    """The image `files` below `root`; broken ones raise UserError unless `skip_broken`."""

    root: Path
    files: list[Path]
    skip_broken: bool

    def digest(self, *options: object) -> str:
        """Changes with the name, size or modification time of any file, and with `options`."""
        digest = hashlib.blake2b(repr(options).encode(), digest_size=12)
        for path in self.files:
            try:
                status = path.stat()
            except OSError as error:
                raise self._refusal(path, BrokenImage(f"can't be read ({error.strerror})")) from error
            digest.update(os.fsencode(path.relative_to(self.root)))
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def name(self, path: Path) -> str:
        """The path below the root in a form that can be printed, whatever bytes it has."""
        return os.fsencode(path.relative_to(self.root)).decode(errors="replace")

    def map(
        self, pool: ThreadPoolExecutor, work: Callable[[Path], Result], doing: str, files: list[Path] | None = None
    ) -> Iterator[tuple[Path, Result]]:
        """Each of `files` (None: all) with the result of `work`, in order, with a progress bar titled `doing`.

        A few hundred files are processed at a time. An image for which `work` raises BrokenImage is skipped, or raises
        UserError.
        """
        from rich.console import Console
        from rich.progress import track

        def attempt(path: Path) -> Result | BrokenImage:
            try:
                return work(path)
            except BrokenImage as error:
                return error

        shown = Console(stderr=True)
        files = self.files if files is None else files
        chunks = [files[k : k + FILES_AT_ONCE] for k in range(0, len(files), FILES_AT_ONCE)]
        title = f"{doing} {len(files):,} images"
        for chunk in track(chunks, title, console=shown, disable=not shown.is_terminal):
            stop_if_asked()
            for path, result in zip(chunk, pool.map(attempt, chunk), strict=True):
                if not isinstance(result, BrokenImage):
                    yield path, result
                elif not self.skip_broken:
                    raise self._refusal(path, result)
                elif doing == "packing":  # the last pass: each is named once
                    say(f"skipped: {self.name(path)} {result}")

    def refuse_if_none(self, count: int) -> None:
        """Raises UserError if `count`, the number of images that could be read, is 0."""
        if count == 0:
            raise UserError(f"dataset.root={self.root}: none of the {len(self.files)} images can be read")

    def labels(self, files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
        """int64 labels of `files` and the names of the classes: the folders directly below the root.

        Both are empty where an image lies beside those folders, or where there is only one.
        """
        tops = [path.relative_to(self.root).parts[0] for path in files]
        if any(path.parent == self.root for path in files) or len(set(tops)) < 2:
            return np.zeros(0, dtype=np.int64), []
        classes = sorted(set(tops))
        number = {name: k for k, name in enumerate(classes)}
        return np.array([number[top] for top in tops], dtype=np.int64), classes

    def _refusal(self, path: Path, error: BrokenImage) -> UserError:
        return UserError(
            f"dataset.root={self.root}: {self.name(path)} {error}; remove it, or skip all such images with "
            f"dataset.skip_broken=true"
        )
