"""The packed folders in the cache, and unpacked archives: which there are, and their removal."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gan_exp.data.packed_file import META, read_meta


class PackedSet(NamedTuple):
    path: Path
    root: str  # the folder that it was made of; empty for sets of before
    images: int
    shape: tuple[int, int, int]  # channels, height, width
    bytes: int
    used: float  # seconds since 1970, when it was last written


def packed_sets(cache: Path) -> list[PackedSet]:
    """All sets in the cache, the newest first; what is not whole counts too, with no images."""
    return sorted(_sets(cache), key=lambda found: -found.used)


def _sets(cache: Path) -> Iterator[PackedSet]:
    for path in sorted((*cache.glob("folder-*"), *cache.glob("zip-*"))):
        if not path.is_dir():
            continue
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        try:
            meta = read_meta(path)
            shape = meta["channels"], meta["height"], meta["width"]
            yield PackedSet(path, meta.get("root", ""), meta["count"], shape, size, (path / META).stat().st_mtime)
        except (OSError, ValueError, KeyError, TypeError):
            yield PackedSet(path, "", 0, (0, 0, 0), size, path.stat().st_mtime)


def remove(found: PackedSet) -> None:
    """Delete a set; it is packed again when it is needed. Raises OSError."""
    shutil.rmtree(found.path)
    found.path.with_name(f"{found.path.name}.lock").unlink(missing_ok=True)
