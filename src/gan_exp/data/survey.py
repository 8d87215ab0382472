"""Numbers about a data set that show what is odd in it: brightness, images of one colour, near-duplicates."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

MOST_COMPARED = 20_000  # images that are compared with each other
CHUNK = 2_000
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


def survey(images: Tensor) -> Survey:
    """Of images uint8 [N, C, H, W]; transparency does not count."""
    gray = _gray(images)
    means = gray.mean(dim=(1, 2))
    low, middle, high = (float(means.quantile(share)) for share in (0.1, 0.5, 0.9))
    one_colour = (images[:, :3].flatten(2).amax(2) == images[:, :3].flatten(2).amin(2)).all(1)
    compared = gray[:MOST_COMPARED]
    pairs = near_duplicates(compared, images[: len(compared)])
    return Survey((low, middle, high), int(one_colour.sum()), len(pairs), len(compared), pairs)


def _gray(images: Tensor) -> Tensor:
    """float [N, SIDE, SIDE + 1]: the mean of the colours, on a coarse grid, some thousand images at a time."""
    parts = [
        interpolate(part[:, :3].float().mean(1, keepdim=True), (SIDE, SIDE + 1), mode="area").squeeze(1)
        for part in images.split(CHUNK)
    ]
    return torch.cat(parts)


def near_duplicates(gray: Tensor, images: Tensor) -> list[tuple[int, int]]:
    """Pairs (earlier, later) whose brightness rises and falls at the same places and whose pixels differ by little.

    A difference hash finds them: 64 bits, each whether a cell of the grid is brighter than its left neighbour. Alone it
    would take an apple in green for one in red, and drawings with much empty ground for each other. One earlier image
    is named for each later one, and equal images are no pair.
    """
    bits = (gray[:, :, 1:] > gray[:, :, :-1] + 1).flatten(1)  # one brightness step of 255 is noise
    signs = bits.float() * 2 - 1
    steps = bits.sum(1)
    pairs = []
    for start in range(0, len(signs), CHUNK):
        here = signs[start : start + CHUNK]
        alike = (here @ signs.T) >= signs.shape[1] - 2 * NEAR_BITS
        alike &= (steps[start : start + CHUNK] >= FLAT_BITS)[:, None]
        later, earlier = alike.nonzero(as_tuple=True)
        later += start
        keep = earlier < later
        seen: set[int] = set()
        for one, other in zip(earlier[keep].tolist(), later[keep].tolist(), strict=True):
            if other not in seen and _differ_by_little(images[one], images[other]):
                seen.add(other)
                pairs.append((one, other))
    return pairs


def _differ_by_little(one: Tensor, other: Tensor) -> bool:
    """But not by nothing."""
    first, second = one.flatten(1).float(), other.flatten(1).float()
    difference = float((first - second).square().mean())
    contrast = min(float(image.var(1, correction=0).mean()) for image in (first, second))
    return 0 < difference <= NEAR_SHARE**2 * contrast
