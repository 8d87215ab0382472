"""The image files below a folder: found, named in messages, and processed on all cores."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from gan_exp.data.decode import BrokenImage
from gan_exp.data.labels_file import FileLabels
from gan_exp.data.packed import Part
from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".avif", ".heic", ".heif"),
)
TRAIN = ("train", "training")  # folders that part a data set
HELD_OUT = ("test", "testing", "val", "valid", "validation")
FILES_AT_ONCE = 256

Result = TypeVar("Result")


def find_images(root: Path) -> tuple[list[Path], Counter[str]]:
    """All image files at every depth, sorted, and how many other files there are of each ending.

    Links are followed, but no folder is visited twice. Hidden files and folders are left out. Raises UserError if there
    are no images or a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"dataset.root={root}: {error.filename} can't be read ({error.strerror})") from error

    if not root.is_dir():
        raise UserError(f"dataset.root={root}: no such folder; name the one that holds your images")
    files, others, seen = [], Counter[str](), set()
    for parent, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            if name.startswith("."):
                continue
            if name.lower().endswith(ENDINGS):
                files.append(Path(parent, name))
            else:
                others[Path(name).suffix.lower() or "without an ending"] += 1
    files = sorted(path for path in files if path.is_file())
    if not files:
        raise UserError(f"dataset.root={root}: no images there (looked for {', '.join(ENDINGS)} at every depth)")
    return files, others


@dataclass(frozen=True)
class ImageTree:
    """The image `files` below `root`; broken ones raise UserError unless `skip_broken`.

    Classes are the folders at `depth` below the root, or what `labels` says. `named` is what messages call the root:
    the archive that it comes from. `broken` fills with what was skipped, and why.
    """

    root: Path
    files: list[Path]
    skip_broken: bool
    depth: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    labels: FileLabels | None = None
    named: Path | None = None

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
                elif self.name(path) not in self.broken:
                    self.broken[self.name(path)] = str(result)
                    say(f"skipped: {self.name(path)} {result}")

    def refuse_if_none(self, count: int) -> None:
        """Raises UserError if `count`, the number of images that could be read, is 0."""
        if count == 0:
            raise UserError(f"dataset.root={self.named or self.root}: none of the {len(self.files)} images can be read")

    def class_of(self, path: Path) -> str | None:
        """Its label, or the name of the folder at `depth` that holds it; None if it has none or lies beside them."""
        if self.labels is not None:
            return self.labels.labels.get(path)
        parts = path.relative_to(self.root).parts[self.depth :]
        return parts[0] if len(parts) > 1 else None

    def classes(self) -> list[str]:
        """The names of the classes, sorted; none where all images have one label, or one folder holds them.

        Images beside the folders are strays if they are fewer than the images of the smallest class. Otherwise the
        folders are no classes.
        """
        if self.labels is not None:
            found = self.labels.classes(self.files)
            return found if len(found) > 1 else []
        counts = Counter(map(self.class_of, self.files))
        beside = counts.pop(None, 0)
        if len(counts) < 2 or beside >= min(counts.values()):
            return []
        return sorted(name for name in counts if name is not None)

    def part(self, wanted: Part) -> "ImageTree | None":
        """The images of one part, where the folders directly below the root are called train and test, val, ...

        All images are to train on, and None is returned for the held-out part, where there are no such folders.
        """
        tops = {path.relative_to(self.root).parts[0].lower() for path in self.files if path.parent != self.root}
        if not (tops <= {*TRAIN, *HELD_OUT} and tops & {*TRAIN} and tops & {*HELD_OUT}):
            return self if wanted == "train" else None
        names = TRAIN if wanted == "train" else HELD_OUT
        files = [path for path in self.files if path.relative_to(self.root).parts[0].lower() in names]
        return replace(self, files=files, depth=self.depth + 1)

    def _refusal(self, path: Path, error: BrokenImage) -> UserError:
        return UserError(
            f"dataset.root={self.named or self.root}: {self.name(path)} {error}; remove it, or skip all such images "
            f"with dataset.skip_broken=true"
        )
