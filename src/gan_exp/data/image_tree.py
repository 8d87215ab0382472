"""The image files below a folder: found, named in messages, and processed on all cores.

A file is called by its name below the root, a plain string: making a Path of each takes longer than reading it.
"""

import errno
import hashlib
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_exp.data.decoders import Pool
from gan_exp.data.image_file import BrokenImage
from gan_exp.data.labels_file import FileLabels
from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.data.packed import Part

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".avif", ".heic", ".heif", ".hif"),
)
TRAIN = ("train", "training")  # folders that part a data set
HELD_OUT = ("test", "testing", "val", "valid", "validation")
FILES_PER_TASK = 16  # small images take less time than a task of their own
FILES_AHEAD = 256  # whose results are held at most, however many cores there are

Stamp = tuple[int, int]  # a file's size, and when it was changed, in nanoseconds
Result = TypeVar("Result")


def find_images(root: Path) -> tuple[dict[str, Stamp], Counter[str]]:
    """The stamps of all image files at every depth, sorted by name, and how many other files there are of each ending.

    Links are followed, but no folder is visited twice. Hidden files and folders are left out. Raises UserError if there
    are no images or a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"dataset.root={root}: {error.filename} can't be read ({error.strerror})") from error

    if not root.is_dir():
        what = "is a file, and no .zip; name the folder with your images, or a zip file of it"
        raise UserError(
            f"dataset.root={root}: {what if root.exists() else 'no such folder; name the one that holds your images'}"
        )
    stamps: dict[str, Stamp] = {}
    others = Counter[str]()
    top = len(os.path.join(root, ""))  # noqa: PTH118
    for entry in _entries(root, refuse):
        if not entry.name.lower().endswith(ENDINGS):
            others[Path(entry.name).suffix.lower() or "without an ending"] += 1
            continue
        try:
            status = os.stat(entry.path)  # noqa: PTH116
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):  # as links to nothing have
                refuse(error)
            continue
        if stat.S_ISREG(status.st_mode):
            stamps[entry.path[top:]] = status.st_size, status.st_mtime_ns
    if not stamps:
        raise no_images(root, others)
    return {name: stamps[name] for name in _in_order_of_folders(stamps)}, others


def find_names(root: Path) -> list[str]:
    """The names of all image files, as `find_images` gives them, without a question to the system for each of them.

    Raises OSError for a folder that can't be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    top = len(os.path.join(root, ""))  # noqa: PTH118
    found = (entry for entry in _entries(root, refuse) if entry.name.lower().endswith(ENDINGS))
    return _in_order_of_folders(entry.path[top:] for entry in found if _is(entry.is_file))


def _entries(root: Path, refuse: Callable[[OSError], None]) -> Iterator["os.DirEntry[str]"]:
    """All that is no folder, folder by folder, without what is hidden; `refuse` is called for what can't be read."""
    seen, folders = set[str](), [str(root)]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above would never end
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            refuse(error)
            continue
        below = [entry.path for entry in visible if _is(entry.is_dir)]
        folders += sorted(below, reverse=True)
        inside = {*below}
        yield from (entry for entry in visible if entry.path not in inside)


def _is(kind: Callable[[], bool]) -> bool:
    """Not where the system can't say, as for a link to itself."""
    try:
        return kind()
    except OSError:
        return False


def _in_order_of_folders(names: Iterable[str]) -> list[str]:
    """Sorted as the parts of a path."""
    return sorted(names, key=lambda name: name.replace(os.sep, "\0"))


def no_images(root: Path, others: Counter[str]) -> UserError:
    """`others` are the endings of the files that it has instead."""
    found = ", ".join(f"{count:,} {ending}" for ending, count in others.most_common(5))
    there = f"; it has {found}" if others else ""
    return UserError(f"dataset.root={root}: no images there (looked for {', '.join(ENDINGS)} at every depth{there})")


def may_have_parts(root: Path) -> bool:
    """Whether folders directly below `root` are called train and test, val, ...; without them there are no parts.

    Saves a look at every file, which takes long on a network's disk.
    """
    try:
        with os.scandir(root) as entries:
            tops = {entry.name.lower() for entry in entries if entry.is_dir()}
    except OSError:
        return True  # `find_images` says what is wrong
    return bool(tops & {*TRAIN} and tops & {*HELD_OUT})


def printable(name: str) -> str:
    """Whatever bytes it has."""
    return os.fsencode(name).decode(errors="replace")


@dataclass(frozen=True)
class ImageTree:
    """The image `files` below `root`; broken ones raise UserError unless `skip_broken`.

    Classes are the folders at `depth` below the root, or what `labels` says. `named` is what messages call the root:
    the archive that it comes from. `broken` fills with what was skipped, and why.
    """

    root: Path
    files: Sequence[str]  # their names below the root
    skip_broken: bool
    depth: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    labels: FileLabels | None = None
    named: Path | None = None

    def digest(self, stamps: Mapping[str, Stamp], facts: str) -> str:
        """Changes with the name and the stamp of any file, and with `facts`."""
        digest = hashlib.blake2b(facts.encode(), digest_size=12)
        lines = ("{}\0{}\0{}\n".format(name, *stamps[name]) for name in self.files)
        digest.update(os.fsencode("".join(lines)))
        return digest.hexdigest()

    def map(
        self, pool: Pool, work: Callable[[Path], Result], doing: str, files: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Result]]:
        """Each of `files` (None: all) with the result of `work`, in order, with a progress bar titled `doing`.

        A few hundred files are processed at a time. An image for which `work` raises BrokenImage is skipped, or raises
        UserError.
        """
        from rich.console import Console
        from rich.progress import track

        shown = Console(stderr=True)
        files = self.files if files is None else files
        tasks = [files[k : k + FILES_PER_TASK] for k in range(0, len(files), FILES_PER_TASK)]
        results = _in_order(pool, work, self.root, tasks)
        title = f"{doing} {len(files):,} images"
        for task in track(results, title, total=len(tasks), console=shown, disable=not shown.is_terminal):
            stop_if_asked()
            for name, result in task:
                if not isinstance(result, BrokenImage):
                    yield name, result
                elif not self.skip_broken:
                    raise UserError(
                        f"dataset.root={self.named or self.root}: {printable(name)} {result}; remove it, or skip all "
                        f"such images with dataset.skip_broken=true"
                    )
                elif printable(name) not in self.broken:
                    self.broken[printable(name)] = str(result)
                    say(f"skipped: {printable(name)} {result}")

    def refuse_if_none(self, count: int) -> None:
        """Raises UserError if `count`, the number of images that could be read, is 0."""
        if count == 0:
            raise UserError(f"dataset.root={self.named or self.root}: none of the {len(self.files)} images can be read")

    def class_of(self, name: str) -> str | None:
        """Its label, or the name of the folder at `depth` that holds it; None if it has none or lies beside them."""
        if self.labels is not None:
            return self.labels.labels.get(name)
        parts = name.split(os.sep, self.depth + 1)[self.depth :]
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

    def part(self, wanted: "Part") -> "ImageTree | None":
        """The images of one part, where the folders directly below the root are called train and test, val, ...

        All images are to train on, and None is returned for the held-out part, where there are no such folders.
        """
        tops = {top_of(name).lower() for name in self.files} - {""}
        if not (tops <= {*TRAIN, *HELD_OUT} and tops & {*TRAIN} and tops & {*HELD_OUT}):
            return self if wanted == "train" else None
        names = TRAIN if wanted == "train" else HELD_OUT
        return replace(self, files=[n for n in self.files if top_of(n).lower() in names], depth=self.depth + 1)


def top_of(name: str) -> str:
    """The folder directly below the root that holds it; empty if none does."""
    top, separator, _ = name.partition(os.sep)
    return top if separator else ""


def _in_order(
    pool: Pool, work: Callable[[Path], Result], root: Path, tasks: Sequence[Sequence[str]]
) -> Iterator[list[tuple[str, Result | BrokenImage]]]:
    """The results of all tasks, of which so many are begun ahead that all cores are busy."""
    pending = deque[Future[list[tuple[str, Result | BrokenImage]]]]()
    for task in tasks:
        if len(pending) >= FILES_AHEAD // FILES_PER_TASK:
            yield pending.popleft().result()
        pending.append(pool.submit(_attempt, work, root, task))
    while pending:
        yield pending.popleft().result()


def _attempt(
    work: Callable[[Path], Result], root: Path, names: Sequence[str]
) -> list[tuple[str, Result | BrokenImage]]:
    found: list[tuple[str, Result | BrokenImage]] = []
    for name in names:
        try:
            found.append((name, work(root / name)))
        except BrokenImage as error:
            found.append((name, error))
    return found
