"""Images of a folder with faults of rising strength: do the extractors for images without labels see them?

`python -m benchmarks.quality.unlabelled --data FOLDER` prints the table of docs/evaluation.md, and `--neighbours
FILE.png` pictures held-out images beside their nearest ones in the features of `ssl` and in pixels.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, normalize, pad

from benchmarks.quality.faults import FaultMatrix, mixed_halves
from benchmarks.tables import as_markdown
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages
from gan_exp.evaluation.features.choice import build_panel
from gan_exp.evaluation.features.extractor import prepare
from gan_exp.metrics.entries import PANEL
from gan_exp.metrics.neighbours import find_several


class Graded(NamedTuple):
    name: str
    images: Tensor


def blurred(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    weights = (-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).exp()
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    channels = images.shape[1]
    wide = pad(images.float(), (reach,) * 4, mode="replicate")
    return conv2d(wide, kernel.expand(channels, 1, -1, -1), groups=channels).round().byte()


def noisy(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=rng) * strength
    return (images.float() + noise).round().clamp(0, 255).byte()


def paler(images: Tensor, share: float) -> Tensor:
    colours, alpha = images[:, :3].float(), images[:, 3:]
    return torch.cat([torch.lerp(colours, colours.mean(dim=1, keepdim=True), share).round().byte(), alpha], dim=1)


def partly(images: Tensor, other: Tensor, share: float, rng: torch.Generator) -> Tensor:
    chosen = torch.rand(len(images), generator=rng) < share
    return torch.where(chosen[:, None, None, None], other, images)


def without_groups(images: Tensor, groups: int, rng: torch.Generator, of: int = 10) -> tuple[Tensor, float]:
    """The largest of ten groups by colour and layout (k-means of small pictures) are replaced by the others; and the
    share that was replaced.
    """
    small = prepare(images).unfold(2, 8, 8).unfold(3, 8, 8).mean(dim=(4, 5)).flatten(1)
    centres = small[torch.randperm(len(small), generator=rng)[:of]]
    for _ in range(20):
        group = torch.cdist(small, centres).argmin(dim=1)
        centres = torch.stack([small[group == k].mean(dim=0) if (group == k).any() else centres[k] for k in range(of)])
    largest = torch.bincount(group, minlength=of).argsort(descending=True)[:groups]
    kept = (~torch.isin(group, largest)).nonzero()[:, 0]
    again = kept[torch.randint(len(kept), (len(images) - len(kept),), generator=rng)]
    return images[torch.cat([kept, again])], 1 - len(kept) / len(images)


def graded_faults(data: PackedImages) -> Iterator[Graded]:
    images, rng = data.images, torch.Generator().manual_seed(0)
    for sigma in (0.4, 0.8, 1.6):
        yield Graded(f"blur, {sigma} pixels", blurred(images, sigma))
    for strength in (8, 16, 32):
        yield Graded(f"noise, {strength} of 255", noisy(images, strength, rng))
    halves = mixed_halves(data, rng)
    for share in (0.1, 0.3, 1.0):
        yield Graded(f"mixed halves, {share:.0%}", partly(images, halves, share, rng))
    repeated = images[torch.randint(20, (len(images),), generator=rng)]
    for share in (0.1, 0.25, 0.5):
        yield Graded(f"copies of twenty, {share:.0%}", partly(images, repeated, share, rng))
    if images.shape[1] >= 3:
        for share in (0.1, 0.3, 0.6):
            yield Graded(f"paler, {share:.0%}", paler(images, share))
    for pixels in (1, 3, 6):
        yield Graded(f"moved, {pixels} pixel{'s' * (pixels > 1)}", images.roll(pixels, dims=3))
    for groups in (1, 2, 3):
        found, share = without_groups(images, groups, rng)
        yield Graded(f"missing groups, {share:.0%} of the images", found)


def table(matrix: FaultMatrix, held_out: PackedImages) -> list[list[str]]:
    own = matrix.without()
    names = list(own.distances)
    rows = [["fault", "`panel`", *(f"`{name}`" for name in names)]]
    rows.append(["none: the distance", "1", *(f"{float(f'{own.distances[name]:.2g}'):g}" for name in names)])
    for fault in graded_faults(held_out):
        found = matrix.measure(lambda data, rng, made=fault.images: made)  # type: ignore[misc]
        ratios = [f"{found.distances[name] / own.distances[name]:.3g}" for name in names]
        rows.append([fault.name, f"{found.worst:.3g}", *ratios])
        print(rows[-1], flush=True)
    return rows


def neighbours(spaces: list[Tensor], images: Tensor, shown: int = 8, count: int = 6) -> Image.Image:
    """A row for each of some images, and for each space its nearest ones; what is transparent is white."""
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))[:shown]
    columns = []
    for features in spaces:
        near = images[find_several(features[chosen], features, count + 1).indices].float()
        if near.shape[2] == 4:
            alpha = near[:, :, 3:] / 255
            near = near[:, :, :3] * alpha + 255 * (1 - alpha)
        rows, across, channels, height, width = near.shape
        columns.append(near.permute(0, 3, 1, 4, 2).reshape(rows * height, across * width, channels))
        columns.append(torch.full((rows * height, 8, channels), 128.0))
    return Image.fromarray(torch.cat(columns[:-1], dim=1).byte().squeeze(2).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder of images")
    parser.add_argument("--cache", default="~/.cache/gan-exp/packed", help="folder for the packed images")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--neighbours", metavar="FILE", help="where to write the picture")
    options = parser.parse_args()
    found = folder(options.data, options.cache, options.size)
    assert found is not None
    whole, held_out = found.split_by_hash(0.25)
    panel = build_panel((PANEL,), whole, held_out, torch.device("cpu"))
    print(as_markdown(table(FaultMatrix(panel, whole.images, held_out), held_out)))
    if options.neighbours:
        features = panel[0].embed(whole.images).features
        features = normalize(features - features.mean(dim=0))
        neighbours([prepare(whole.images).flatten(1), features], whole.images).save(options.neighbours)


if __name__ == "__main__":
    main()
