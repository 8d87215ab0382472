"""Any tree of images of one's own, decoded once into a packed file that later runs map into memory."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.ranges import PositiveFloat, PositiveInt

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMAT = 1  # of the packed file; another number packs anew
CHECKED_BLOCKS, BLOCK = 64, 1 << 16  # what is read of a packed file to see that it is whole
FILES_AT_ONCE = 256

Fit = Literal["crop", "pad", "stretch"]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class _Recipe:
    """How every image is brought to the same shape."""

    height: int
    width: int
    fit: Fit
    channels: int


def folder(
    root: str,
    cache: str,
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None,
    fit: Fit = "crop",
    channels: Literal["auto", 1, 3, 4] = "auto",
    skip_broken: bool = False,
    max_megapixels: PositiveFloat = 64.0,
) -> PackedImages:
    """All PNG, JPEG, WebP, BMP and TIFF images below `root`, as [N, channels, height, width].

    `size` is a side or [height, width]; None takes the images as they are, where all are alike. `fit` says what becomes
    of another aspect ratio: the middle is cut out (crop), black bars are added (pad), or it is distorted (stretch).
    `channels` auto is 4 where any image has transparency, 1 where all are gray, else 3. Folders directly below `root`
    that hold images are classes, if no image lies beside them. Larger images than `max_megapixels` are refused unread.

    Raises UserError where there are no images, or broken ones that `skip_broken` doesn't allow to pass over.
    """
    place = Path(root).expanduser()
    files = _find_images(place)
    key = _key(place, files, size, fit, channels, skip_broken, max_megapixels)
    packed = Path(cache).expanduser() / f"folder-{key}"
    try:
        packed.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{packed}.lock"):  # of two runs that come at once, one packs and the other waits
            if not _is_whole(packed):
                recipe = _choose(place, files, size, fit, channels, skip_broken, max_megapixels)
                _pack(place, files, recipe, skip_broken, max_megapixels, packed)
    except OSError as error:
        raise UserError(
            f"dataset.cache={cache}: can't be written ({error.strerror or error}); name a folder with room for it"
        ) from error
    return _open(packed)


def _find_images(place: Path) -> list[Path]:
    if not place.is_dir():
        raise UserError(f"dataset.root={place}: no such folder; name the one that holds your images")
    files = sorted(path for path in place.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise UserError(f"dataset.root={place}: no images there (looked for {', '.join(ENDINGS)} at every depth)")
    return files


def _key(place: Path, files: Sequence[Path], *options: object) -> str:
    """Another file, size, time or option is another key: what is packed is never stale."""
    digest = hashlib.blake2b(repr((FORMAT, str(place.resolve()), options)).encode(), digest_size=12)
    for path in files:
        status = path.stat()
        digest.update(f"{path.relative_to(place)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _choose(
    place: Path,
    files: Sequence[Path],
    size: int | tuple[int, int] | None,
    fit: Fit,
    channels: Literal["auto", 1, 3, 4],
    skip_broken: bool,
    max_megapixels: float,
) -> _Recipe:
    """The common shape, from the images' heads alone where possible."""
    if size is not None and channels != "auto":
        height, width = (size, size) if isinstance(size, int) else size
        return _Recipe(height, width, fit, channels)
    sizes: dict[tuple[int, int], Path] = {}
    found = 1
    for path in files:
        try:
            with _opened(path, max_megapixels) as image:
                sizes.setdefault((image.height, image.width), path)
                found = max(found, _channels_of(image))
        except _Broken as error:
            if not skip_broken:
                raise _refusal(place, path, error) from error
    if not sizes:
        raise UserError(f"dataset.root={place}: none of the {len(files)} images can be read")
    if size is None and len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise UserError(
            f"dataset.size=null: the images differ in size ({one.name} is {first[0]}x{first[1]}, {other.name} "
            f"{second[0]}x{second[1]}); choose one, such as dataset.size=64 or dataset.size=[48,80]"
        )
    height, width = next(iter(sizes)) if size is None else (size, size) if isinstance(size, int) else size
    return _Recipe(height, width, fit, found if channels == "auto" else channels)


class _Broken(Exception):
    """An image that can't be used, and why."""


def _refusal(place: Path, path: Path, error: _Broken) -> UserError:
    return UserError(
        f"dataset.root={place}: {path.relative_to(place)} {error}; remove it, or pass over all such images with "
        f"dataset.skip_broken=true"
    )


def _opened(path: Path, max_megapixels: float) -> Image.Image:
    """Only the head is read: the size is known before any pixel is decoded, which decompression bombs rely on."""
    try:
        Image.MAX_IMAGE_PIXELS = None  # ours is checked instead: Pillow's would only warn up to twice its limit
        image = Image.open(path)
    except Exception as error:
        raise _Broken(f"is no image that can be read ({_one_line(error)})") from error
    if image.width * image.height > max_megapixels * 1e6:
        megapixels = image.width * image.height / 1e6
        image.close()
        raise _Broken(f"has {megapixels:.0f} megapixels, more than dataset.max_megapixels={max_megapixels:g}")
    return image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _channels_of(image: Image.Image) -> int:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return 4
    return 1 if image.mode in ("1", "L") or image.mode.startswith("I") or image.mode == "F" else 3


def _decode(path: Path, recipe: _Recipe, max_megapixels: float) -> np.ndarray | _Broken:
    """uint8 [channels, height, width]."""
    try:
        with _opened(path, max_megapixels) as image:
            return _shaped(ImageOps.exif_transpose(image), recipe)
    except _Broken as error:
        return error
    except Exception as error:  # Pillow's decoders raise whatever the broken bytes lead to
        return _Broken(f"can't be decoded ({_one_line(error)})")


def _shaped(image: Image.Image, recipe: _Recipe) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel, or 32
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max()))
        image = Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    if "transparency" in image.info or image.mode in ("PA", "LA", "P"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode != "P" else "RGB")
    image = image.convert(MODES[recipe.channels])
    size = (recipe.width, recipe.height)
    if image.size != size:
        method = Image.Resampling.LANCZOS
        if recipe.fit == "stretch":
            image = image.resize(size, method)
        elif recipe.fit == "pad":
            image = ImageOps.pad(image, size, method)
        else:
            image = ImageOps.fit(image, size, method)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pack(
    place: Path, files: Sequence[Path], recipe: _Recipe, skip_broken: bool, max_megapixels: float, packed: Path
) -> None:
    """Decode on all cores into a file beside, never holding more than a few hundred images, then rename."""
    staging = packed.with_name(f"{packed.name}.incomplete")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    kept: list[Path] = []
    try:
        with (staging / "images.u8").open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, image in _decode_all(pool, place, files, recipe, max_megapixels):
                if isinstance(image, _Broken):
                    if not skip_broken:
                        raise _refusal(place, path, image)
                    print(f"passed over: {path.relative_to(place)} {image}", flush=True)
                    continue
                out.write(np.ascontiguousarray(image).tobytes())
                kept.append(path)
            out.flush()
            os.fsync(out.fileno())
        if not kept:
            raise UserError(f"dataset.root={place}: none of the {len(files)} images can be read")
        labels, classes = _labels(place, kept)
        np.save(staging / "labels.npy", labels)
        digest = _sampled_digest(staging / "images.u8")
        meta = {"count": len(kept), **asdict(recipe), "classes": classes, "digest": digest}
        (staging / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        shutil.rmtree(packed, ignore_errors=True)
        staging.rename(packed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _decode_all(
    pool: ThreadPoolExecutor, place: Path, files: Sequence[Path], recipe: _Recipe, max_megapixels: float
) -> Iterator[tuple[Path, np.ndarray | _Broken]]:
    from rich.console import Console
    from rich.progress import track

    decode: Callable[[Path], np.ndarray | _Broken] = lambda path: _decode(path, recipe, max_megapixels)  # noqa: E731
    chunks = [files[k : k + FILES_AT_ONCE] for k in range(0, len(files), FILES_AT_ONCE)]
    shown = Console(stderr=True)
    for chunk in track(chunks, f"packing {len(files):,} images", console=shown, disable=not shown.is_terminal):
        yield from zip(chunk, pool.map(decode, chunk), strict=True)


def _labels(place: Path, files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
    """Class folders, or no classes: then an empty array."""
    tops = [path.relative_to(place).parts[0] for path in files]
    if any(path.parent == place for path in files) or len(set(tops)) < 2:
        return np.zeros(0, dtype=np.int64), []
    classes = sorted(set(tops))
    return np.array([classes.index(top) for top in tops], dtype=np.int64), classes


def _sampled_digest(path: Path) -> str:
    """Of the size and of blocks evenly spread: a cut or half-written file is found without reading all of it."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for number in range(CHECKED_BLOCKS):
            file.seek(max(0, (size - BLOCK) * number // (CHECKED_BLOCKS - 1)))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _is_whole(packed: Path) -> bool:
    try:
        meta = json.loads((packed / "meta.json").read_text(encoding="utf-8"))
        return bool(meta["digest"] == _sampled_digest(packed / "images.u8")) and (packed / "labels.npy").is_file()
    except (OSError, ValueError, KeyError):
        return False


def _open(packed: Path) -> PackedImages:
    """Mapped into memory: pages are read as batches ask for them, and the system drops them when it needs the room."""
    meta = json.loads((packed / "meta.json").read_text(encoding="utf-8"))
    shape = (meta["count"], meta["channels"], meta["height"], meta["width"])
    flat = torch.from_file(str(packed / "images.u8"), shared=False, size=int(np.prod(shape)), dtype=torch.uint8)
    labels = torch.from_numpy(np.load(packed / "labels.npy")) if meta["classes"] else None
    return PackedImages(flat.view(shape), labels, tuple(meta["classes"]))
