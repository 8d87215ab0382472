"""Grids of samples as data URIs of a limited size."""

import base64
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

IMAGE_BYTES = 6_000_000  # of all images on a page, before base64 adds a third
LEAST = 4_000  # bytes: a grid with fewer shows nothing
MOST_STEPS = 40  # of one run
FEWEST_STEPS = 4  # of each of many
WIDEST = 1_200  # pixels
LARGEST = 50_000_000  # pixels; a file that claims more is taken for damaged
# How an image is made smaller, the best first: by how much it shrinks at least, its scale, and Pillow's options.
ENCODINGS: tuple[tuple[float, float, dict[str, object]], ...] = (
    (1.0, 1, {"lossless": True, "method": 3}),
    (1.25, 1, {"quality": 85}),
    (1.4, 1, {"quality": 65}),
    (1.8, 0.7, {"quality": 75}),
    (2.6, 0.5, {"quality": 70}),
    (4.0, 0.35, {"quality": 60}),
)

Grids = Sequence[tuple[int, Path]]  # (step, file), by step


@dataclass(frozen=True)
class Samples:
    """`runs` holds, for each run, the number in `uris` of its grid at each of `steps`, or None where it has none."""

    steps: list[int]
    uris: list[str]
    runs: list[list[int | None]]
    all_steps: int  # at which there are grids
    without: int = 0  # runs whose grids are left out
    damaged: int = 0
    recompressed: bool = False


def collect(runs: Sequence[Grids], size: int = IMAGE_BYTES) -> Samples:
    """The grids of many runs at common steps, together of at most about `size` bytes.

    `runs` are in the order of importance: where there is no room for all, the first ones are kept.
    """
    having = [number for number, grids in enumerate(runs) if grids]
    fitting = having[: size // (LEAST * FEWEST_STEPS)]
    common = _common_steps([[step for step, _ in runs[number]] for number in fitting])
    room = size // max(1, len(fitting))
    steps = evenly(common, min(MOST_STEPS, max(FEWEST_STEPS, room // _wanted(len(fitting)))))
    each = room // max(1, len(steps))
    uris: list[str] = []
    places: list[list[int | None]] = []
    damaged, recompressed = 0, False
    for number, grids in enumerate(runs):
        files = dict(grids) if number in fitting else {}
        row: list[int | None] = []
        for step in steps:
            uri, lossy = data_uri(files[step], each) if step in files else (None, False)
            damaged += step in files and uri is None
            recompressed |= lossy
            row.append(None if uri is None else len(uris))
            uris += [] if uri is None else [uri]
        places.append(row)
    return Samples(steps, uris, places, len(common), len(having) - len(fitting), damaged, recompressed)


def _wanted(runs: int) -> int:
    """Bytes of an image: the more there are, the smaller they are shown."""
    return 100_000 if runs == 1 else 20_000 if runs <= 24 else 10_000


def _common_steps(runs: Sequence[Sequence[int]]) -> list[int]:
    """The steps at which at least half as many runs have a grid as at the most common one."""
    count = Counter(step for steps in runs for step in steps)
    most = max(count.values(), default=0)
    return sorted(step for step, number in count.items() if 2 * number >= most)


def evenly(items: Sequence[int], count: int) -> list[int]:
    """At most `count` of `items`, evenly spaced, with the first and the last."""
    if len(items) <= count:
        return list(items)
    if count < 2:
        return list(items[-count:])
    return [items[round(number * (len(items) - 1) / (count - 1))] for number in range(count)]


def data_uri(path: Path, size: int) -> tuple[str | None, bool]:
    """The image in at most about `size` bytes, None if it can't be read; and whether details were lost."""
    try:
        raw = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = Image.open(io.BytesIO(raw))
            if image.width * image.height > LARGEST:
                return None, False
            image.load()
    except Exception:  # Pillow raises many kinds for a damaged file
        return None, False
    if image.format == "PNG" and len(raw) <= size and image.width <= WIDEST:
        return _uri("png", raw), False
    fitted = min(1, WIDEST / image.width)
    ratio = len(raw) / size
    for shrinking, scale, how in ENCODINGS:
        if shrinking * 1.5 < ratio and (shrinking, scale, how) != ENCODINGS[-1]:
            continue  # it would not be enough, and takes time
        content = _webp(image, scale * fitted, how)
        if len(content) <= size:
            break
    return _uri("webp", content), scale * fitted < 1 or "lossless" not in how


def _webp(image: Image.Image, scale: float, how: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    if scale < 1:
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    image.save(buffer, "WEBP", **how)
    return buffer.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
