"""A folder of the user's images, decoded once into a packed file that later runs map into memory."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gan_exp.data.archive import unpacked
from gan_exp.data.brightness import BYTES, DARK, Kind, Scale, choose_scale, describe, scale_from_limits
from gan_exp.data.decode import Fit, ImageHeader, TargetFormat, count_channels, decode, read_extrema, read_header
from gan_exp.data.decoders import Pool, decoding_pool
from gan_exp.data.image_tree import ImageTree, find_images, may_have_parts, printable
from gan_exp.data.labels_file import FileLabels, find_labels
from gan_exp.data.layout import layout_lines
from gan_exp.data.packed_file import IMAGES, is_whole, staging_directory, write_labels_and_meta
from gan_exp.data.reading import describe_reading
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock

if TYPE_CHECKING:
    from gan_exp.data.packed import Part

FORMAT = 4  # of the packed file; another number makes every folder be packed anew


class _Wanted(NamedTuple):
    """The user's choices; what is left open follows from the images. Its repr is part of the cache's key."""

    size: int | tuple[int, int] | None
    fit: Fit
    channels: Literal["auto", 1, 3, 4]
    scale: Scale | None
    background: tuple[int, int, int]


def packed_folder(
    root: str,
    cache: str,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    channels: Literal["auto", 1, 3, 4] = "auto",
    skip_broken: bool = False,
    max_megapixels: float = 64.0,
    range: tuple[float, float] | None = None,
    background: tuple[int, int, int] = (0, 0, 0),
    labels: str | None = None,
    part: "Part" = "train",
) -> Path | None:
    """The directory with the packed images of `folder`, whose arguments these are; they are packed if they aren't yet.

    Nothing here needs torch, which the processes that decode would import for seconds.
    """
    given = expand_user(root, "dataset.root")
    store = expand_user(cache, "dataset.cache", "GAN_EXP_CACHE")
    red, green, blue = background  # a list, from YAML
    scale = None if range is None else scale_from_limits(range)
    wanted = _Wanted(size, fit, channels, scale, (red, green, blue))
    try:
        place = unpacked(given, store) if given.is_file() and given.suffix.lower() == ".zip" else given
    except OSError as error:
        raise UserError(f"dataset.root={given}: can't be unpacked to {store} ({error.strerror or error})") from error
    if part == "held_out" and not may_have_parts(place):
        return None
    stamps, others = find_images(place)
    found = find_labels(place, stamps, labels)
    if found is not None and found[0].is_relative_to(place):
        others -= Counter([found[0].suffix.lower()])
    whole = ImageTree(place, list(stamps), skip_broken, labels=found and found[1], named=given)
    tree = whole.part(part)
    if tree is None:
        return None
    key = whole.digest(
        stamps, FORMAT, str(place.resolve()), skip_broken, max_megapixels, wanted, part, *_of_labels(found)
    )
    packed = store / f"folder-{key}"
    try:
        if not is_whole(packed):
            packed.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(f"{packed}.lock"):
                if not is_whole(packed):  # another process may have packed it meanwhile
                    _pack(whole, tree, others, wanted, max_megapixels, packed)
        return packed
    except OSError as error:
        raise UserError(
            f"dataset.cache={cache}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error


def _of_labels(found: tuple[Path, FileLabels] | None) -> list[str]:
    """For the cache's key, which stays what it was where no file has labels."""
    return [] if found is None else [found[1].name, found[1].digest, repr(found[1].unmatched)]


def _pack(
    whole: ImageTree, tree: ImageTree, others: Counter[str], wanted: _Wanted, max_megapixels: float, packed: Path
) -> None:
    """Decode the images of `tree` on all cores, holding a few hundred at a time."""
    classes = (whole.part("train") or whole).classes()
    strays = [name for name in tree.files if classes and tree.class_of(name) not in classes]
    left = set(strays)
    kept: list[str] = []
    contents: set[bytes] = set()  # digests
    largest = 0
    with staging_directory(packed) as staging:
        with decoding_pool(len(tree.files)) as pool, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")  # about odd metadata; a broken image raises
            headers, target, why, values = _choose_format(whole, pool, wanted, max_megapixels)
            chosen = [name for name in tree.files if name in headers and name not in left]
            with (staging / IMAGES).open("wb") as out:
                work = partial(_decoded, target=target, max_megapixels=max_megapixels)
                for name, image in tree.map(pool, work, "packing", chosen):
                    out.write(image.content)
                    kept.append(name)
                    contents.add(image.digest)
                    largest = max(largest, image.largest)
                out.flush()
                os.fsync(out.fileno())
        tree.refuse_if_none(len(kept))
        values += _if_dark(target, largest)
        if tree is whole:  # a class whose images are all broken is none; the parts must have the same ones
            present = {tree.class_of(name) for name in kept}
            classes = [one for one in classes if one in present]
        numbers = {one: number for number, one in enumerate(classes)}
        labels = [numbers[str(tree.class_of(name))] for name in kept] if len(classes) > 1 else []
        reading = describe_reading(
            headers=[headers[name] for name in kept],
            target=target,
            why_channels=why,
            class_counts=dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
            if labels
            else {},
            others=others,
            strays=[printable(name) for name in strays],
            broken=tree.broken,
            copies=len(kept) - len(contents),
            parted=tree is not whole,
            labels_file=None if tree.labels is None else tree.labels.name,
            unmatched=[] if tree.labels is None else tree.labels.unmatched,
            layout=layout_lines(whole),
            values=values,
        )
        meta = {"count": len(kept), **asdict(target), "classes": classes if labels else [], "reading": reading}
        meta["root"] = str((tree.named or tree.root).resolve())
        write_labels_and_meta(staging, np.array(labels, dtype=np.int64), meta)


class _Decoded(NamedTuple):
    content: bytes
    digest: bytes
    largest: int  # of the colours, without transparency


def _decoded(path: Path, target: TargetFormat, max_megapixels: float) -> _Decoded:
    image = decode(path, target, max_megapixels)
    content = np.ascontiguousarray(image).tobytes()
    return _Decoded(content, hashlib.blake2b(content, digest_size=16).digest(), int(image[:3].max()))


@dataclass
class _Look:
    """Reads headers, and counts the channels by the pixels where the mode has more than the `most` that were found."""

    max_megapixels: float
    channels: Literal["auto", 1, 3, 4]
    most: int = 0

    def __call__(self, path: Path) -> ImageHeader:
        header = read_header(path, self.max_megapixels)
        if self.channels != "auto" or header.channels <= max(self.most, 1):
            return header
        return header._replace(channels=count_channels(path, self.max_megapixels))


def _choose_format(
    tree: ImageTree, pool: Pool, wanted: _Wanted, max_megapixels: float
) -> tuple[dict[str, ImageHeader], TargetFormat, str, list[str]]:
    """The headers of the images that have one, the common shape and brightness, why there are so many channels, and
    lines about the brightness.

    Only images of more than 8 bits are decoded, and those whose modes have more channels than any image before.
    """
    size, fit, channels, scale, background = wanted
    look, deciding = _Look(max_megapixels, channels), ""
    headers: dict[str, ImageHeader] = {}
    deep: dict[Kind, list[str]] = {}
    for name, header in tree.map(pool, look, "looking at"):
        headers[name] = header
        if header.channels > look.most:
            look.most, deciding = header.channels, printable(name)
        if header.kind != "bytes":
            deep.setdefault(header.kind, []).append(name)
    tree.refuse_if_none(len(headers))
    height, width = _common_size(headers, size)
    scales, values = _measure_scales(tree, pool, deep, max_megapixels) if scale is None else (_for_all_kinds(scale), [])
    if channels != "auto":
        why = f"dataset.channels={channels}"
    else:
        reasons = {1: "all images are gray", 3: f"{deciding} has colours", 4: f"{deciding} is transparent somewhere"}
        why = reasons[look.most]
    target = TargetFormat(height, width, fit, look.most if channels == "auto" else channels, scales, background)
    return headers, target, why, values


def _common_size(headers: Mapping[str, ImageHeader], size: int | tuple[int, int] | None) -> tuple[int, int]:
    if size is not None:
        return (size, size) if isinstance(size, int) else size
    sizes: dict[tuple[int, int], str] = {}
    for name, header in headers.items():
        sizes.setdefault((header.height, header.width), name)
    if len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise UserError(
            f"dataset.size=null: the images differ in size ({printable(one)} is {first[0]}x{first[1]}, "
            f"{printable(other)} {second[0]}x{second[1]}); choose one, such as dataset.size=64 or dataset.size=[48,80]"
        )
    return next(iter(sizes))


def _for_all_kinds(scale: Scale) -> dict[Kind, Scale]:
    return {"bytes": scale, "integers": scale, "floats": scale}


def _measure_scales(
    tree: ImageTree, pool: Pool, deep: dict[Kind, list[str]], max_megapixels: float
) -> tuple[dict[Kind, Scale], list[str]]:
    """A scale for each kind of numbers in the images, and lines about those that were chosen."""
    scales: dict[Kind, Scale] = {"bytes": BYTES}
    lines = []
    for kind, files in deep.items():
        results = tree.map(pool, partial(read_extrema, max_megapixels=max_megapixels), "measuring", files)
        extrema = [found for _, found in results]
        if extrema:
            low, high = min(low for low, _ in extrema), max(high for _, high in extrema)
            scales[kind] = choose_scale(kind, low, high)
            lines.append(describe(kind, len(extrema), low, high))
    return scales, lines


def _if_dark(target: TargetFormat, largest: int) -> list[str]:
    """A line for dark images of 8 bits, whose pixels are first seen while they are packed."""
    if target.scales != {"bytes": BYTES} or not 0 < largest < DARK * BYTES.white:
        return []
    return [
        f"brightness: no pixel of the packed images is above {largest} of 255, less than 1/16 of the range: "
        f"dataset.range=[0,{largest}] uses all of it"
    ]
