"""Samples drawn in the terminal: two pixels to a character, or shades of punctuation where there is no colour."""

import torch
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text
from torch import Tensor
from torch.nn.functional import interpolate

SHADES = " .:-=+*#%@"
LARGEST_SIDE = 20  # rows of pixels; taller images are shrunk


class Preview:
    """A row of images, uint8 [N, C, H, W], as many as the width allows."""

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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        coloured = console.color_system is not None and not console.no_color
        gap = 1
        fitting = max(1, (options.max_width + gap) // (self._images.shape[3] + gap))
        row = torch.cat([torch.nn.functional.pad(image, (0, gap)) for image in self._images[:fitting]], dim=2)
        if row.shape[1] % 2:
            row = torch.nn.functional.pad(row, (0, 0, 0, 1))
        pixels = row.permute(1, 2, 0).tolist()
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
            yield _coloured_line(upper, lower) if coloured else _shaded_line(upper, lower)


def _coloured_line(upper: list[list[int]], lower: list[list[int]]) -> Text:
    line = Text(no_wrap=True, end="\n")
    for above, below in zip(upper, lower, strict=True):
        line.append("▀", Style(color=f"rgb({_rgb(above)})", bgcolor=f"rgb({_rgb(below)})"))
    return line


def _rgb(pixel: list[int]) -> str:
    return ",".join(map(str, pixel))


def _shaded_line(upper: list[list[int]], lower: list[list[int]]) -> Text:
    levels = (sum(above + below) / 6 for above, below in zip(upper, lower, strict=True))
    return Text("".join(SHADES[int(level * len(SHADES) / 256)] for level in levels), no_wrap=True)
