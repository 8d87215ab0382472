"""The shape and the brightness that all images of a folder are brought to, by the user's choices and the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from gan_exp.data.brightness import BYTES, Kind, Scale, choose_scale, describe
from gan_exp.data.decode import Fit, ImageHeader, TargetFormat, count_channels, read_extrema, read_header
from gan_exp.data.decoders import Pool
from gan_exp.data.file_names import printable
from gan_exp.data.image_tree import ImageTree
from gan_exp.errors import UserError

Channels = Literal["auto", 1, 3, 4]


@dataclass(frozen=True)
class Options:
    """The user's choices, as `folder` describes them; `scale` is what its `range` means."""

    size: int | tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Channels = "auto"
    scale: Scale | None = None
    background: tuple[int, int, int] = (0, 0, 0)
    skip_broken: bool = False
    max_megapixels: float = 64.0
    labels: str | None = None


class CommonFormat(NamedTuple):
    target: TargetFormat
    headers: dict[str, ImageHeader]  # of the images that have one
    why_channels: str
    values: list[str]  # lines about the brightness


def choose_format(tree: ImageTree, pool: Pool, options: Options) -> CommonFormat:
    """Only images of more than 8 bits are decoded, and those whose modes have more channels than any image before."""
    look, deciding = _Look(options.max_megapixels, options.channels), ""
    headers: dict[str, ImageHeader] = {}
    deep: dict[Kind, list[str]] = {}
    for name, header in tree.map(pool, look, "looking at"):
        headers[name] = header
        if header.channels > look.most:
            look.most, deciding = header.channels, printable(name)
        if header.kind != "bytes":
            deep.setdefault(header.kind, []).append(name)
    tree.refuse_if_none(len(headers))
    height, width = _common_size(headers, options.size)
    if options.scale is None:
        scales, values = _measure_scales(tree, pool, deep, options.max_megapixels)
    else:
        scales, values = dict.fromkeys(("bytes", "integers", "floats"), options.scale), []
    if options.channels == "auto":
        reasons = {1: "all images are gray", 3: f"{deciding} has colours", 4: f"{deciding} is transparent somewhere"}
        channels, why = look.most, reasons[look.most]
    else:
        channels, why = options.channels, f"dataset.channels={options.channels}"
    target = TargetFormat(height, width, options.fit, channels, scales, options.background)
    return CommonFormat(target, headers, why, values)


@dataclass
class _Look:
    """Reads headers, and counts the channels by the pixels where the mode has more than the `most` that were found."""

    max_megapixels: float
    channels: Channels
    most: int = 0

    def __call__(self, path: Path) -> ImageHeader:
        header = read_header(path, self.max_megapixels)
        if self.channels != "auto" or header.channels <= max(self.most, 1):
            return header
        return header._replace(channels=count_channels(path, self.max_megapixels))


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
