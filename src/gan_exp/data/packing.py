"""A folder of the user's images, decoded once into a packed file that later runs map into memory."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gan_exp.data.archive import unpacked
from gan_exp.data.brightness import BYTES, DARK
from gan_exp.data.common_format import CommonFormat, Options, choose_format
from gan_exp.data.decode import TargetFormat, decode
from gan_exp.data.decoders import decoding_pool
from gan_exp.data.file_names import printable, write_names
from gan_exp.data.finding import Stamp, find_images
from gan_exp.data.image_tree import ImageTree, may_have_parts
from gan_exp.data.labels_file import find_labels
from gan_exp.data.layout import layout_lines
from gan_exp.data.packed_file import (
    ANOTHER_CACHE,
    FRACTIONS,
    IMAGES,
    fraction_of,
    is_whole,
    read_meta,
    staging_directory,
    write_labels_and_meta,
)
from gan_exp.data.reading import Reading, describe_reading
from gan_exp.errors import UserError
from gan_exp.runtime.files import json_text
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock

if TYPE_CHECKING:
    from gan_exp.data.packed import Part

FORMAT = 5  # of the packed file; another number makes every folder be packed anew


def packed_folder(root: str, cache: str, options: Options, part: "Part" = "train") -> Path | None:
    """The directory with the packed images of `folder`, whose arguments these are; they are packed if they aren't yet.

    Nothing here needs torch, which the processes that decode would import for seconds.
    """
    store = expand_user(cache, "dataset.cache", "GAN_EXP_CACHE")
    found = _find(expand_user(root, "dataset.root"), store, options, part)
    if found is None:
        return None
    try:
        packed = store / found.name(options, options.skip_broken)
        if is_whole(packed):
            return packed
        other = store / found.name(options, not options.skip_broken)
        if is_whole(other) and _has_no_broken(read_meta(other)):  # so there is nothing to skip or to refuse
            return other
        packed.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{packed}.lock"):
            if not is_whole(packed):  # another process may have packed it meanwhile
                _pack(found, options, packed)
        return packed
    except OSError as error:
        raise UserError(
            f"dataset.cache={cache}: can't be written ({error.strerror or error}); make room, or name {ANOTHER_CACHE}"
        ) from error


def _has_no_broken(meta: Mapping[str, Any]) -> bool:
    reading = meta.get("reading")
    return isinstance(reading, dict) and reading.get("broken") == {}


class _Found(NamedTuple):
    """The images of a folder."""

    whole: ImageTree
    tree: ImageTree  # of the part that is wanted
    part: "Part"
    stamps: Mapping[str, Stamp]
    others: Counter[str]  # endings of files that are no images

    def name(self, options: Options, skip_broken: bool) -> str:
        """Of the packed folder, which all that it depends on is in."""
        labels = self.whole.labels
        of_labels = None if labels is None else [labels.name, labels.digest, labels.unmatched]
        chosen = {**asdict(options), "skip_broken": skip_broken, "labels": of_labels}
        facts = {"format": FORMAT, "root": str(self.whole.root.resolve()), "part": self.part, **chosen}
        return f"folder-{self.whole.digest(self.stamps, json_text(facts))}"


def _find(given: Path, store: Path, options: Options, part: "Part") -> _Found | None:
    """None where there is no such part; an archive is unpacked into `store`."""
    try:
        place = unpacked(given, store) if given.is_file() and given.suffix.lower() == ".zip" else given
    except OSError as error:
        raise UserError(
            f"dataset.root={given}: can't be unpacked to {store} ({error.strerror or error}); name {ANOTHER_CACHE}"
        ) from error
    if part == "held_out" and not may_have_parts(place):
        return None
    stamps, others = find_images(place)
    file, labels = find_labels(place, stamps, options.labels) or (None, None)
    if file is not None and file.is_relative_to(place):
        others -= Counter([file.suffix.lower()])
    whole = ImageTree(place, list(stamps), options.skip_broken, labels=labels, named=given)
    tree = whole.part(part)
    return None if tree is None else _Found(whole, tree, part, stamps, others)


class _Decoded(NamedTuple):
    content: bytes
    digest: bytes
    largest: int  # of the colours, without transparency
    fraction: float


class _Written(NamedTuple):
    """The images in the packed file."""

    names: list[str]
    copies: int  # that equal an earlier image
    largest: int  # value of a colour
    fractions: list[float]


def _pack(found: _Found, options: Options, packed: Path) -> None:
    """Decode the images of the part on all cores, holding a few hundred at a time."""
    whole, tree = found.whole, found.tree
    classes = (whole.part("train") or whole).classes()
    strays = [name for name in tree.files if classes and tree.class_of(name) not in classes]
    left = set(strays)
    with staging_directory(packed) as staging:
        with decoding_pool(len(tree.files)) as pool, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")  # about odd metadata; a broken image raises
            common = choose_format(whole, pool, options)
            chosen = [name for name in tree.files if name in common.headers and name not in left]
            work = partial(_decoded, target=common.target, max_megapixels=options.max_megapixels)
            written = _write(staging / IMAGES, tree.map(pool, work, "packing", chosen))
        tree.refuse_if_none(len(written.names))
        if tree is whole:  # a class whose images are all broken is none; the parts must have the same ones
            present = {tree.class_of(name) for name in written.names}
            classes = [one for one in classes if one in present]
        classes = classes if len(classes) > 1 else []
        numbers = {one: number for number, one in enumerate(classes)}
        labels = np.array([numbers[str(tree.class_of(name))] for name in written.names if classes], dtype=np.int64)
        counts = dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
        reading = _reading(found, common, written, counts, strays)
        meta = {"count": len(written.names), **asdict(common.target), "classes": classes, "reading": reading}
        meta["root"] = str((tree.named or tree.root).resolve())
        np.save(staging / FRACTIONS, np.array(written.fractions, np.float64))
        write_names(staging, written.names)
        write_labels_and_meta(staging, labels, meta)


def _decoded(path: Path, target: TargetFormat, max_megapixels: float) -> _Decoded:
    image = decode(path, target, max_megapixels)
    content = np.ascontiguousarray(image).tobytes()
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return _Decoded(content, digest, int(image[:3].max()), fraction_of(content))


def _write(file: Path, images: Iterable[tuple[str, _Decoded]]) -> _Written:
    names: list[str] = []
    fractions: list[float] = []
    contents: set[bytes] = set()  # digests
    largest = 0
    with file.open("wb") as out:
        for name, image in images:
            out.write(image.content)
            names.append(name)
            fractions.append(image.fraction)
            contents.add(image.digest)
            largest = max(largest, image.largest)
        out.flush()
        os.fsync(out.fileno())
    return _Written(names, len(names) - len(contents), largest, fractions)


def _reading(
    found: _Found, common: CommonFormat, written: _Written, class_counts: dict[str, int], strays: Sequence[str]
) -> Reading:
    tree, labels = found.tree, found.tree.labels
    return describe_reading(
        headers=[common.headers[name] for name in written.names],
        target=common.target,
        why_channels=common.why_channels,
        class_counts=class_counts,
        others=found.others,
        strays=[printable(name) for name in strays],
        broken=tree.broken,
        copies=written.copies,
        parted=tree is not found.whole,
        labels_file=None if labels is None else labels.name,
        unmatched=[] if labels is None else labels.unmatched,
        layout=layout_lines(found.whole),
        values=[*common.values, *_if_dark(common.target, written.largest)],
    )


def _if_dark(target: TargetFormat, largest: int) -> list[str]:
    """A line for dark images of 8 bits, whose pixels are first seen while they are packed."""
    if target.scales != {"bytes": BYTES} or not 0 < largest < DARK * BYTES.white:
        return []
    return [
        f"brightness: no pixel of the packed images is above {largest} of 255, less than 1/16 of the range: "
        f"dataset.range=[0,{largest}] uses all of it"
    ]
