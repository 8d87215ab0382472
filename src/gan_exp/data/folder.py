"""A folder of the user's images, decoded once into a packed file that later runs map into memory."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from gan_exp.data.brightness import BYTES, DARK, Kind, Scale, choose_scale, describe, scale_from_limits
from gan_exp.data.decode import Fit, TargetFormat, decode, read_extrema, read_header
from gan_exp.data.image_tree import ImageTree, find_images
from gan_exp.data.packed import PackedImages
from gan_exp.data.packed_file import IMAGES, open_if_whole, open_packed, staging_directory, write_labels_and_meta
from gan_exp.errors import UserError
from gan_exp.ranges import PositiveFloat, PositiveInt
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock
from gan_exp.runtime.terminal import say

FORMAT = 3  # of the packed file; another number makes every folder be packed anew


class _Wanted(NamedTuple):
    """The user's choices; what is left open follows from the images. Its repr is part of the cache's key."""

    size: int | tuple[int, int] | None
    fit: Fit
    channels: Literal["auto", 1, 3, 4]
    scale: Scale | None


def folder(
    root: str,
    cache: str,
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None,
    fit: Fit = "crop",
    channels: Literal["auto", 1, 3, 4] = "auto",
    skip_broken: bool = False,
    max_megapixels: PositiveFloat = 64.0,
    range: tuple[float, float] | None = None,
) -> PackedImages:
    """All PNG, JPEG, WebP, BMP and TIFF images below `root`, as [N, channels, height, width].

    - `size` is a side or [height, width]. None keeps the images' own size, which must be the same for all.
    - `fit` handles other aspect ratios: crop cuts out the middle, pad adds black bars (transparent ones where there is
      transparency), stretch distorts.
    - `channels` auto is 4 where any image has transparency, 1 where all are gray, else 3. Transparency that is removed
      is replaced by black.
    - `max_megapixels`: larger images are refused before they are decoded.
    - `range` gives the values that become black and white. None is 0 and 255 for images of up to 8 bits; for deeper
      ones it is one range that suits all of them (`brightness.choose_scale`).

    Folders directly below `root` that hold images are classes, if there are several and no image lies beside them.
    Hidden files and folders are ignored. Raises UserError if there are no images, or broken ones and `skip_broken`
    is false.
    """
    place = expand_user(root, "dataset.root")
    wanted = _Wanted(size, fit, channels, None if range is None else scale_from_limits(range))
    tree = ImageTree(place, find_images(place), skip_broken)
    key = tree.digest(FORMAT, str(place.resolve()), skip_broken, max_megapixels, wanted)
    packed = expand_user(cache, "dataset.cache", "GAN_EXP_CACHE") / f"folder-{key}"
    try:
        data = open_if_whole(packed)
        if data is None:
            packed.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(f"{packed}.lock"):
                data = open_if_whole(packed)  # another process may have packed it meanwhile
                if data is None:
                    _pack(tree, wanted, max_megapixels, packed)
        return data or open_packed(packed)
    except OSError as error:
        raise UserError(
            f"dataset.cache={cache}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error


def _pack(tree: ImageTree, wanted: _Wanted, max_megapixels: float, packed: Path) -> None:
    """Decode on all cores, holding a few hundred images at a time."""
    kept: list[Path] = []
    largest = 0
    with staging_directory(packed) as staging:
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")  # about odd metadata; a broken image raises
            target = _choose_format(tree, pool, wanted, max_megapixels)
            with (staging / IMAGES).open("wb") as out:
                for path, image in tree.map(pool, lambda path: decode(path, target, max_megapixels), "packing"):
                    out.write(np.ascontiguousarray(image).tobytes())
                    kept.append(path)
                    largest = max(largest, int(image[:3].max()))  # of the colours, without transparency
                out.flush()
                os.fsync(out.fileno())
        tree.refuse_if_none(len(kept))
        _warn_if_dark(target, largest)
        labels, classes = tree.labels(kept)
        write_labels_and_meta(staging, labels, {"count": len(kept), **asdict(target), "classes": classes})


def _choose_format(tree: ImageTree, pool: ThreadPoolExecutor, wanted: _Wanted, max_megapixels: float) -> TargetFormat:
    """The common shape and brightness, from the images' headers; only images of more than 8 bits are decoded."""
    size, fit, channels, scale = wanted
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and channels != "auto" and scale is not None:
        return TargetFormat(*sides, fit, channels, _for_all_kinds(scale))
    sizes: dict[tuple[int, int], Path] = {}
    most_channels = 0
    deep: dict[Kind, list[Path]] = {}
    for path, header in tree.map(pool, lambda path: read_header(path, max_megapixels), "looking at"):
        sizes.setdefault((header.height, header.width), path)
        most_channels = max(most_channels, header.channels)
        if header.kind != "bytes":
            deep.setdefault(header.kind, []).append(path)
    tree.refuse_if_none(len(sizes))
    if sides is None and len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise UserError(
            f"dataset.size=null: the images differ in size ({tree.name(one)} is {first[0]}x{first[1]}, "
            f"{tree.name(other)} {second[0]}x{second[1]}); choose one, such as dataset.size=64 or dataset.size=[48,80]"
        )
    height, width = sides or next(iter(sizes))
    scales = _for_all_kinds(scale) if scale is not None else _measure_scales(tree, pool, deep, max_megapixels)
    return TargetFormat(height, width, fit, most_channels if channels == "auto" else channels, scales)


def _for_all_kinds(scale: Scale) -> dict[Kind, Scale]:
    return {"bytes": scale, "integers": scale, "floats": scale}


def _measure_scales(
    tree: ImageTree, pool: ThreadPoolExecutor, deep: dict[Kind, list[Path]], max_megapixels: float
) -> dict[Kind, Scale]:
    """A scale for each kind of numbers in the images; prints those that were chosen."""
    scales: dict[Kind, Scale] = {"bytes": BYTES}
    for kind, files in deep.items():
        results = tree.map(pool, lambda path: read_extrema(path, max_megapixels), "measuring", files)
        extrema = [found for _, found in results]
        if extrema:
            low, high = min(low for low, _ in extrema), max(high for _, high in extrema)
            scales[kind] = choose_scale(kind, low, high)
            say(describe(kind, len(extrema), low, high))
    return scales


def _warn_if_dark(target: TargetFormat, largest: int) -> None:
    """For images of 8 bits, whose pixels are first seen while they are packed."""
    if target.scales == {"bytes": BYTES} and 0 < largest < DARK * BYTES.white:
        say(
            f"brightness: no pixel of the packed images is above {largest} of 255, less than 1/16 of the range: "
            f"dataset.range=[0,{largest}] uses all of it"
        )
