"""Grids of samples as PNG, and their animation."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_exp.runtime.files import write_atomically

SMALLEST_GRID = 256  # pixels; smaller grids are enlarged by whole factors, so that 8x8 digits can be seen
LARGEST_ANIMATION = 120  # frames
FRAME_MS = 120


def image_grid(images: Tensor, rows: int, columns: int, tile: int | None = None) -> Tensor:
    """uint8 [C, height, width]: the images uint8 [rows * columns, C, H, W] row by row with lines of a pixel between.

    Small ones are enlarged by a whole factor: each image to about `tile` pixels, by default the whole to about 256.
    The pictures are those of torchvision's make_grid, which takes two seconds to import.
    """
    count, channels, height, width = images.shape
    if count != rows * columns:
        raise ValueError(f"{count} images don't fill a grid of {rows}x{columns}")
    bordered = images.new_full((count, channels, height + 1, width + 1), 96)
    bordered[:, :, :height, :width] = images
    grid = bordered.view(rows, columns, channels, height + 1, width + 1).permute(2, 0, 3, 1, 4)
    grid = grid.reshape(channels, rows * (height + 1), columns * (width + 1))[:, :-1, :-1]
    ratio = SMALLEST_GRID / max(grid.shape[1:]) if tile is None else tile / max(height, width)
    factor = max(1, round(ratio))
    return grid.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def filled_grid(images: Tensor, columns: int | None = None, tile: int | None = None) -> Tensor:
    """`image_grid` of any number of images in so many `columns`, by default as many as rows; the rest is black."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    blank = images.new_zeros(rows * columns - len(images), *images.shape[1:])
    return image_grid(torch.cat([images, blank]), rows, columns, tile)


def scatter_plot(points: Tensor, extent: float, side: int = 320) -> Tensor:
    """Points [N, 2, 1, 1] in the square [-extent, extent]^2, y upwards: uint8 [1, side, side], brighter where dense."""
    places = ((points.flatten(1) / extent + 1) / 2 * side).floor().long()
    inside = ((places >= 0) & (places < side)).all(dim=1)
    column, row = places[inside, 0], side - 1 - places[inside, 1]
    counts = torch.bincount(row * side + column, minlength=side * side).view(1, 1, side, side).float()
    # Dots of 3x3 pixels, since single pixels can hardly be seen.
    density = torch.nn.functional.conv2d(counts, torch.ones(1, 1, 3, 3), padding=1)
    return (density.sqrt() * 90 + 24 * (density > 0)).clamp(0, 255).byte().squeeze(0)


def to_pil(image: Tensor) -> Image.Image:
    """uint8 [C, H, W] with 1, 3 or 4 channels (other counts: the first one, as gray)."""
    image = image.cpu()
    if image.shape[0] not in (1, 3, 4):
        image = image[:1]
    array = image.squeeze(0).numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array)


def encode_png(image: Tensor) -> bytes:
    """uint8 [C, H, W] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, format="PNG", compress_level=3)  # half the time of 6, a tenth larger
    return buffer.getvalue()


def save_animation(frames: Sequence[Path], path: Path) -> None:
    """A GIF of the grids in order, of which at most 120 are taken, evenly spaced; the last one is shown longer."""
    chosen = torch.linspace(0, len(frames) - 1, min(len(frames), LARGEST_ANIMATION)).round().int().unique().tolist()
    pictures = []
    for index in chosen:
        with Image.open(frames[index]) as picture:
            pictures.append(picture.convert("RGB").quantize(64) if picture.mode != "L" else picture.copy())
    durations = [FRAME_MS] * (len(pictures) - 1) + [3000]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
    )
    write_atomically(path, buffer.getvalue())
