"""Any tree of images of one's own, decoded once into a packed file that later runs map into memory."""

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch

from gan_exp.data.brightness import BYTES, LITTLE, Kind, Scale, checked, choose_scale, describe
from gan_exp.data.decode import BrokenImage, Fit, Head, Recipe, decode, read_extrema, read_head
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.ranges import PositiveFloat, PositiveInt
from gan_exp.runtime.files import json_text
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.runtime.terminal import say

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMAT = 3  # of the packed file; another number packs anew
CHECKED_BLOCKS, BLOCK = 64, 1 << 16  # what is read of a packed file to see that it is whole
FILES_AT_ONCE = 256

Result = TypeVar("Result")


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

    `size` is a side or [height, width]; None takes the images as they are, where all are alike. `fit` says what becomes
    of another aspect ratio: the middle is cut out (crop), black bars are added (pad; transparent ones where there is
    transparency), or it is distorted (stretch). `channels` auto is 4 where any image has transparency, 1 where all are
    gray, else 3; where transparency is to go, black lies behind. Folders directly below `root` that hold images are
    classes, if there are several and no image lies beside them. Hidden files and folders don't count. Larger images
    than `max_megapixels` are refused unread. `range` are the values that become black and white; None takes 0 and 255
    for images of up to 8 bits, and for deeper ones what suits all of them together (`brightness.choose_scale`).

    Raises UserError where there are no images, or broken ones that `skip_broken` doesn't allow to pass over.
    """
    place = expand_user(root, "dataset.root")
    wanted = _Wanted(size, fit, channels, None if range is None else checked(range))
    tree = _Tree(place, _find_images(place), skip_broken, max_megapixels)
    packed = expand_user(cache, "dataset.cache", "GAN_EXP_CACHE") / f"folder-{tree.key(wanted)}"
    try:
        data = _open_whole(packed)
        if data is None:
            packed.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(f"{packed}.lock"):
                data = _open_whole(packed)
                if data is None:
                    _pack(tree, wanted, packed)
        return data or _open(packed)
    except OSError as error:
        raise UserError(
            f"dataset.cache={cache}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error


def _find_images(place: Path) -> list[Path]:
    """At every depth, through links too, but no folder twice."""

    def refuse(error: OSError) -> None:
        raise UserError(f"dataset.root={place}: {error.filename} can't be read ({error.strerror})") from error

    if not place.is_dir():
        raise UserError(f"dataset.root={place}: no such folder; name the one that holds your images")
    files, seen = [], set()
    for parent, folders, names in os.walk(place, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        files += [Path(parent, name) for name in names if name.lower().endswith(ENDINGS) and name[0] != "."]
    files = sorted(path for path in files if path.is_file())
    if not files:
        raise UserError(f"dataset.root={place}: no images there (looked for {', '.join(ENDINGS)} at every depth)")
    return files


class _Wanted(NamedTuple):
    """What the user chose; what is left open follows from the images."""

    size: int | tuple[int, int] | None
    fit: Fit
    channels: Literal["auto", 1, 3, 4]
    scale: Scale | None


@dataclass(frozen=True)
class _Tree:
    """The images of a folder, and what may be done about broken ones."""

    place: Path
    files: list[Path]
    skip_broken: bool
    max_megapixels: float

    def key(self, options: object) -> str:
        """Another file, size, time or option is another key: what is packed is never stale."""
        named = (FORMAT, str(self.place.resolve()), self.skip_broken, self.max_megapixels, options)
        digest = hashlib.blake2b(repr(named).encode(), digest_size=12)
        for path in self.files:
            try:
                status = path.stat()
            except OSError as error:
                raise self.refusal(path, BrokenImage(f"can't be read ({error.strerror})")) from error
            digest.update(os.fsencode(path.relative_to(self.place)))
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def head(self, path: Path) -> Head:
        return read_head(path, self.max_megapixels)

    def extrema(self, path: Path) -> tuple[float, float]:
        return read_extrema(path, self.max_megapixels)

    def name(self, path: Path) -> str:
        """As it can be printed, whatever bytes it has."""
        return os.fsencode(path.relative_to(self.place)).decode(errors="replace")

    def refusal(self, path: Path, error: BrokenImage) -> UserError:
        return UserError(
            f"dataset.root={self.place}: {self.name(path)} {error}; remove it, or pass over all such images with "
            f"dataset.skip_broken=true"
        )

    def each(
        self, pool: ThreadPoolExecutor, work: Callable[[Path], Result], doing: str, files: list[Path] | None = None
    ) -> Iterator[tuple[Path, Result]]:
        """`work` on all images, or some `files`, a few hundred at a time on all cores, with a bar; not broken ones."""
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
                    raise self.refusal(path, result)
                elif doing == "packing":
                    say(f"passed over: {self.name(path)} {result}")

    def refuse_nothing_left(self, count: int) -> None:
        if count == 0:
            raise UserError(f"dataset.root={self.place}: none of the {len(self.files)} images can be read")


def _choose(tree: _Tree, pool: ThreadPoolExecutor, wanted: _Wanted) -> Recipe:
    """The common shape and brightness, from the images' heads; only those of more than 8 bits are read whole."""
    size, fit, channels, scale = wanted
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and channels != "auto" and scale is not None:
        return Recipe(*sides, fit, channels, _scales(scale))
    sizes: dict[tuple[int, int], Path] = {}
    found = 0
    deep: dict[Kind, list[Path]] = {}
    for path, head in tree.each(pool, tree.head, "looking at"):
        sizes.setdefault((head.height, head.width), path)
        found = max(found, head.channels)
        if head.kind != "bytes":
            deep.setdefault(head.kind, []).append(path)
    tree.refuse_nothing_left(len(sizes))
    if sides is None and len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise UserError(
            f"dataset.size=null: the images differ in size ({tree.name(one)} is {first[0]}x{first[1]}, "
            f"{tree.name(other)} {second[0]}x{second[1]}); choose one, such as dataset.size=64 or dataset.size=[48,80]"
        )
    height, width = sides or next(iter(sizes))
    scales = _scales(scale) if scale is not None else _measure(tree, pool, deep)
    return Recipe(height, width, fit, found if channels == "auto" else channels, scales)


def _scales(scale: Scale) -> dict[Kind, Scale]:
    return {"bytes": scale, "integers": scale, "floats": scale}


def _measure(tree: _Tree, pool: ThreadPoolExecutor, deep: dict[Kind, list[Path]]) -> dict[Kind, Scale]:
    """A scale for each kind of numbers that there is, which is told."""
    scales: dict[Kind, Scale] = {"bytes": BYTES}
    for kind, files in deep.items():
        each = [found for _, found in tree.each(pool, tree.extrema, "measuring", files)]
        if each:
            low, high = min(low for low, _ in each), max(high for _, high in each)
            scales[kind] = choose_scale(kind, low, high)
            say(describe(kind, len(each), low, high))
    return scales


def _tell_darkness(recipe: Recipe, largest: int) -> None:
    """Of images of 8 bits, whose pixels are looked at only while they are packed."""
    if recipe.scales == {"bytes": BYTES} and 0 < largest < LITTLE * BYTES.white:
        say(
            f"brightness: no pixel of the packed images is above {largest} of 255, less than 1/16 of the range: "
            f"dataset.range=[0,{largest}] uses all of it"
        )


def _pack(tree: _Tree, wanted: _Wanted, packed: Path) -> None:
    """Decode on all cores into a file beside, never holding more than a few hundred images, then rename."""
    staging = packed.with_name(f"{packed.name}.incomplete")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    kept: list[Path] = []
    largest = 0
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\b")  # of odd metadata: what is broken raises
            recipe = _choose(tree, pool, wanted)
            with (staging / "images.u8").open("wb") as out:
                for path, image in tree.each(pool, lambda path: decode(path, recipe, tree.max_megapixels), "packing"):
                    out.write(np.ascontiguousarray(image).tobytes())
                    kept.append(path)
                    largest = max(largest, int(image[:3].max()))  # of colours, not of transparency
                out.flush()
                os.fsync(out.fileno())
        tree.refuse_nothing_left(len(kept))
        _tell_darkness(recipe, largest)
        labels, classes = _labels(tree.place, kept)
        np.save(staging / "labels.npy", labels)
        meta = {"count": len(kept), **asdict(recipe), "classes": classes}
        (staging / "meta.json").write_text(json_text({**meta, "digest": _digest(staging, meta)}), encoding="utf-8")
        shutil.rmtree(packed, ignore_errors=True)
        staging.rename(packed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _labels(place: Path, files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
    """Class folders, or no classes: then an empty array."""
    tops = [path.relative_to(place).parts[0] for path in files]
    if any(path.parent == place for path in files) or len(set(tops)) < 2:
        return np.zeros(0, dtype=np.int64), []
    classes = sorted(set(tops))
    number = {name: k for k, name in enumerate(classes)}
    return np.array([number[top] for top in tops], dtype=np.int64), classes


def _digest(packed: Path, meta: dict[str, Any]) -> str:
    """Of all but the images, of whose file the size and blocks evenly spread stand for the rest.

    So a cut or half-written file is found without reading all of it.
    """
    images = packed / "images.u8"
    size = images.stat().st_size
    digest = hashlib.blake2b(json.dumps([meta, size], sort_keys=True).encode(), digest_size=16)
    digest.update((packed / "labels.npy").read_bytes())
    with images.open("rb") as file:
        for number in range(CHECKED_BLOCKS):
            file.seek(max(0, (size - BLOCK) * number // (CHECKED_BLOCKS - 1)))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _open_whole(packed: Path) -> PackedImages | None:
    """None where it is not whole, or not what it says it is: anyone can write a file with a digest."""
    try:
        meta = json.loads((packed / "meta.json").read_text(encoding="utf-8"))
        return _open(packed) if meta.pop("digest") == _digest(packed, meta) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None


def _open(packed: Path) -> PackedImages:
    """Mapped into memory: pages are read as batches ask for them, and the system drops them when it needs the room."""
    meta = json.loads((packed / "meta.json").read_text(encoding="utf-8"))
    shape = (meta["count"], meta["channels"], meta["height"], meta["width"])
    images = packed / "images.u8"
    if math.prod(shape) != images.stat().st_size:
        raise ValueError(f"{images} does not hold {shape}")
    flat = torch.from_file(str(images), shared=False, size=math.prod(shape), dtype=torch.uint8)
    labels = torch.from_numpy(np.load(packed / "labels.npy")) if meta["classes"] else None
    if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < len(meta["classes"]):
        raise ValueError("labels without a class")
    return PackedImages(flat.view(shape), labels, tuple(meta["classes"]))
