"""The image files below a folder, at every depth: their names and stamps.

A file is called by its name below the root, a plain string: making a Path of each takes longer than reading it.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gan_exp.errors import UserError

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".avif", ".heic", ".heif", ".hif"),
)

Stamp = tuple[int, int]  # a file's size, and when it was changed, in nanoseconds


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
