"""Numbers about a data set that show what is odd in it: brightness, images of one colour, near-duplicates."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

MOST_COMPARED = 20_000  # images that are compared with each other
CHUNK = 500
SIDE = 8  # of the grid whose brightness steps are an image's 64 bits
NEAR_BITS = 2  # that may differ between near-duplicates
FLAT_BITS = 8  # an image with fewer steps is too plain to be told from another one
NEAR_SHARE = 0.35  # of an image's contrast: how much near-duplicates differ at most, both as standard deviations


class Survey(NamedTuple):
    brightness: tuple[float, float, float]  # 0 to 255: tenth percentile, median, ninetieth of the images' means
    one_colour: int  # images that are
    near: int  # images that nearly equal an earlier one, but not quite
    compared: int
    pairs: list[tuple[int, int]]  # some of them, by index


def survey(images: np.ndarray) -> Survey:
    """Of images uint8 [N, C, H, W]; transparency does not count."""
    gray = np.concatenate([_gray(part) for part in _chunks(images)])
    low, middle, high = (float(value) for value in np.quantile(gray.mean((1, 2)), (0.1, 0.5, 0.9)))
    one_colour = sum(_of_one_colour(part) for part in _chunks(images))
    compared = gray[:MOST_COMPARED]
    pairs = near_duplicates(compared, images)
    return Survey((low, middle, high), one_colour, len(pairs), len(compared), pairs)


def _chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    """The colours of some hundred images at a time."""
    return (images[start : start + CHUNK, :3] for start in range(0, len(images), CHUNK))


def _gray(images: np.ndarray) -> np.ndarray:
    """float32 [N, SIDE, SIDE + 1]: the mean of the colours, on a coarse grid."""
    rows, columns = _averages(SIDE, images.shape[2]), _averages(SIDE + 1, images.shape[3])
    gray: np.ndarray = rows @ images.mean(1, dtype=np.float32) @ columns.T
    return gray


def _averages(cells: int, length: int) -> np.ndarray:
    """float32 [cells, length]: the weights of the pixels in each cell; cells overlap where they don't fit."""
    cell, pixel = np.arange(cells)[:, None], np.arange(length)
    inside = (pixel >= cell * length // cells) & (pixel < -(-(cell + 1) * length // cells))
    weights: np.ndarray = (inside / inside.sum(1, keepdims=True)).astype(np.float32)
    return weights


def _of_one_colour(images: np.ndarray) -> int:
    pixels = images.reshape(*images.shape[:2], -1)
    return int((pixels.max(2) == pixels.min(2)).all(1).sum())


def near_duplicates(gray: np.ndarray, images: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (earlier, later) whose brightness rises and falls at the same places and whose pixels differ by little.

    A difference hash finds them: 64 bits, each whether a cell of the grid is brighter than its left neighbour. Alone it
    would take an apple in green for one in red, and drawings with much empty ground for each other. One earlier image
    is named for each later one, and equal images are no pair.
    """
    bits = (gray[:, :, 1:] > gray[:, :, :-1] + 1).reshape(len(gray), -1)  # one brightness step of 255 is noise
    signs = bits.astype(np.float32) * 2 - 1
    enough = bits.sum(1) >= FLAT_BITS
    pairs = []
    for start in range(0, len(signs), CHUNK):
        end = start + CHUNK
        alike = signs[start:end] @ signs[:end].T >= signs.shape[1] - 2 * NEAR_BITS
        later, earlier = np.nonzero(alike & enough[start:end, None])
        later += start
        keep = earlier < later
        seen: set[int] = set()
        for one, other in zip(earlier[keep].tolist(), later[keep].tolist(), strict=True):
            if other not in seen and _differ_by_little(images[one], images[other]):
                seen.add(other)
                pairs.append((one, other))
    return pairs


def _differ_by_little(one: np.ndarray, other: np.ndarray) -> bool:
    """But not by nothing."""
    first, second = (image.reshape(len(image), -1).astype(np.float32) for image in (one, other))
    difference = float(np.square(first - second).mean())
    contrast = min(float(image.var(1).mean()) for image in (first, second))
    return 0 < difference <= NEAR_SHARE**2 * contrast
