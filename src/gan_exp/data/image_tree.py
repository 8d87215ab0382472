"""The image files below a folder: their parts and classes, their names in messages, and work on all of them."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gan_exp.data.decoders import Pool
from gan_exp.data.file_names import printable
from gan_exp.data.finding import Stamp
from gan_exp.data.image_file import BrokenImage, RemovedImage
from gan_exp.data.labels_file import FileLabels
from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from gan_exp.data.packed import Part

TRAIN = ("train", "training")  # folders that part a data set
HELD_OUT = ("test", "testing", "val", "valid", "validation")
FILES_PER_TASK = 16  # small images take less time than a task of their own
MOST_SKIPPED = 20  # broken images that are named while the folder is read
FILES_AHEAD = 256  # whose results are held at most, however many cores there are

Result = TypeVar("Result")


def may_have_parts(root: Path) -> bool:
    """Whether folders directly below `root` are called train and test, val, ...; without them there are no parts.

    Saves a look at every file, which takes long on a network's disk.
    """
    try:
        with os.scandir(root) as entries:
            tops = {entry.name.lower() for entry in entries if entry.is_dir()}
    except OSError:
        return True  # `finding.find_images` says what is wrong
    return bool(tops & {*TRAIN} and tops & {*HELD_OUT})


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

    def _refused(self, name: str, why: BrokenImage) -> UserError:
        remedy = "remove it, or skip all such images with dataset.skip_broken=true"
        if isinstance(why, RemovedImage):
            remedy = "start again when nothing changes the folder"
        return UserError(f"dataset.root={self.named or self.root}: {printable(name)} {why}; {remedy}")

    def map(
        self, pool: Pool, work: Callable[[Path], Result], doing: str, files: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Result]]:
        """Each of `files` (None: all) with the result of `work`, in order, with a progress bar titled `doing`.

        A few hundred files are processed at a time. An image for which `work` raises BrokenImage is skipped, or raises
        UserError; one that is no longer there always does.
        """
        from rich.console import Console
        from rich.progress import track

        shown = Console(stderr=True)
        files = self.files if files is None else files
        tasks = [files[k : k + FILES_PER_TASK] for k in range(0, len(files), FILES_PER_TASK)]
        results = _in_order(pool, work, self.root, tasks)
        title = f"{doing} {plural(len(files), 'image')}"
        for task in track(results, title, total=len(tasks), console=shown, disable=not shown.is_terminal):
            stop_if_asked()
            for name, result in task:
                if not isinstance(result, BrokenImage):
                    yield name, result
                elif isinstance(result, RemovedImage) or not self.skip_broken:
                    raise self._refused(name, result)
                elif printable(name) not in self.broken:
                    self.broken[printable(name)] = str(result)
                    if len(self.broken) <= MOST_SKIPPED:
                        say(f"skipped: {printable(name)} {result}")
                    elif len(self.broken) == MOST_SKIPPED + 1:
                        say("skipped: others too; a run's data.json names them all")

    def refuse_if_none(self, count: int) -> None:
        """Raises UserError if `count`, the number of images that could be read, is 0."""
        if count == 0:
            first = next((f" ({name} {why})" for name, why in self.broken.items()), "")
            images = "the only image can't" if len(self.files) == 1 else f"none of the {len(self.files):,} images can"
            raise UserError(f"dataset.root={self.named or self.root}: {images} be read{first}")

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
