"""Samples drawn in the terminal with two pixels per character, or with shades of punctuation without colours."""

from collections.abc import Iterator
from itertools import groupby

import torch
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from torch import Tensor
from torch.nn.functional import interpolate

SHADES = " .:-=+*#%@"
WIDTH_IN_A_PIPE = 100
LARGEST_SIDE = 20  # rows of pixels; taller images are shrunk


class Preview:
    """A row of images, uint8 [N, C, H, W], of which as many are drawn as fit the width."""

    def __init__(self, images: Tensor) -> None:
        height, width = images.shape[2:]
        shrink = max(1.0, max(height, width) / LARGEST_SIDE)
        size = (max(1, round(height / shrink)), max(1, round(width / shrink)))
        small = images.float().cpu()
        if shrink > 1:
            small = interpolate(small, size, mode="bilinear", antialias=True)
        if small.shape[1] not in (3, 4):
            small = small[:, :1].expand(-1, 3, -1, -1)
        self._images = small[:, :3].round().clamp(0, 255).byte()
        self._made: dict[tuple[int, bool], list[Segment]] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Computed once for each width, because the live display redraws it often during training."""
        coloured = console.color_system is not None and not console.no_color
        key = (options.max_width if console.is_terminal else min(options.max_width, WIDTH_IN_A_PIPE), coloured)
        if key not in self._made:
            self._made[key] = list(self._segments(*key))
        return self._made[key]

    def _segments(self, max_width: int, coloured: bool) -> Iterator[Segment]:
        gap = 1
        fitting = max(1, (max_width + gap) // (self._images.shape[3] + gap))
        row = torch.cat([torch.nn.functional.pad(image, (0, gap)) for image in self._images[:fitting]], dim=2)
        row = row[:, :, :max_width]
        if row.shape[1] % 2:
            row = torch.nn.functional.pad(row, (0, 0, 0, 1))
        pixels = row.permute(1, 2, 0).tolist()
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
            yield from _coloured_line(upper, lower) if coloured else _shaded_line(upper, lower)
            yield Segment.line()


Pixels = list[list[int]]


def _coloured_line(upper: Pixels, lower: Pixels) -> Iterator[Segment]:
    """One segment for each series of equal colours."""
    for (above, below), same in groupby(zip(upper, lower, strict=True)):
        style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
        yield Segment("▀" * len(list(same)), style)


def _shaded_line(upper: Pixels, lower: Pixels) -> Iterator[Segment]:
    levels = (sum(above + below) / 6 for above, below in zip(upper, lower, strict=True))
    yield Segment("".join(SHADES[int(level * len(SHADES) / 256)] for level in levels))
