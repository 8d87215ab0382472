"""A zip file of images, unpacked once into the cache: no path leaves its folder, and no bomb fills the disk."""

import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from gan_exp.data.finding import ENDINGS, no_images
from gan_exp.data.packed_file import ANOTHER_CACHE, staging_directory
from gan_exp.errors import UserError
from gan_exp.runtime.processes import file_lock
from gan_exp.runtime.resources import in_words
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

LABELS = (".csv", ".json")  # labels of the images may be in them
MOST_TIMES = 100  # what is unpacked may be so many times larger than the archive: images hardly shrink
ALWAYS_BYTES = 100_000_000  # and this much in any case
SPARE_BYTES = 500_000_000  # of the disk stay free
FIXED_TIME = 315_532_800.0  # 1980: an archive that is unpacked again gives the same files to the last detail
BLOCK = 1 << 20


def unpacked(archive: Path, cache: Path) -> Path:
    """The folder with the archive's images; its name is a digest of the archive's table of files and their checksums.

    Raises UserError for an archive that can't be read, leaves its folder, or is larger than it should be.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if _is_wanted(entry)]
            folder = cache / f"zip-{_digest(opened.infolist())}"
            if not folder.is_dir():
                _check(archive, entries, cache, _others(opened.infolist(), entries))
                cache.mkdir(parents=True, exist_ok=True)
                with file_lock(f"{folder}.lock"):
                    if not folder.is_dir():  # another process may have unpacked it meanwhile
                        _unpack(opened, entries, folder)
                        _tell(archive, entries, _others(opened.infolist(), entries), folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"dataset.root={archive}: can't be unpacked ({error}); pack it anew, as a plain zip") from error
    return _inner(folder)


def _inner(folder: Path) -> Path:
    """Where the archive holds a single folder, that one."""
    inside = list(folder.iterdir())
    while len(inside) == 1 and inside[0].is_dir():
        folder = inside[0]
        inside = list(folder.iterdir())
    return folder


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    """Images and labels, without links and the hidden files that some systems add."""
    path = _path(entry)
    if entry.is_dir() or stat.S_ISLNK(entry.external_attr >> 16):
        return False
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts) or "__MACOSX" in path.parts
    return not hidden and path.name.lower().endswith((*ENDINGS, *LABELS))


def _digest(entries: Sequence[zipfile.ZipInfo]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for entry in entries:
        digest.update(repr((entry.filename, entry.file_size, entry.CRC)).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _others(all_: Sequence[zipfile.ZipInfo], entries: Sequence[zipfile.ZipInfo]) -> Counter[str]:
    """Of files that are not among the `entries`, by their ending."""
    wanted = {id(entry) for entry in entries}
    left = (_path(entry) for entry in all_ if not entry.is_dir() and id(entry) not in wanted)
    return Counter(path.suffix.lower() or "without an ending" for path in left)


def _check(archive: Path, entries: Sequence[zipfile.ZipInfo], cache: Path, others: Counter[str]) -> None:
    if not any(_path(entry).name.lower().endswith(ENDINGS) for entry in entries):
        raise no_images(archive, others)
    for entry in entries:
        path = _path(entry)
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise UserError(
                f"dataset.root={archive}: {entry.filename!r} would be written outside of its folder; remove it from "
                f"the archive, if you trust the rest"
            )
    total, packed = sum(entry.file_size for entry in entries), archive.stat().st_size
    if total > max(ALWAYS_BYTES, MOST_TIMES * packed):
        raise UserError(
            f"dataset.root={archive}: {in_words(packed)} would become {in_words(total)}, which images don't do; "
            f"unpack it yourself if it is what you think, and name the folder"
        )
    place = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if total > free - SPARE_BYTES:
        raise UserError(
            f"dataset.root={archive}: unpacked it has {in_words(total)}, {in_words(SPARE_BYTES)} should stay free, and "
            f"{place} has {in_words(free)} left; make room, or name {ANOTHER_CACHE}"
        )


def _unpack(opened: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    with staging_directory(folder) as staging:
        for entry in entries:
            stop_if_asked()
            target = staging.joinpath(*_path(entry).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source, target.open("wb") as out:  # at most the size that the table states
                shutil.copyfileobj(source, out, BLOCK)
            os.utime(target, (FIXED_TIME, FIXED_TIME))


def _tell(archive: Path, entries: Sequence[zipfile.ZipInfo], others: Counter[str], folder: Path) -> None:
    size = sum(entry.file_size for entry in entries)
    rest = f", without {', '.join(f'{n:,} {ending}' for ending, n in others.most_common(5))}" if others else ""
    say(f"unpacked: {plural(len(entries), 'file')} of {archive.name} ({in_words(size)}{rest}) to {folder}")
