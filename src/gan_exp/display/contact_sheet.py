"""Many images of a folder in one picture. It needs no torch, which would take longer than all else."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

LINE = 96  # gray, between the images
SMALLEST = 256  # pixels; smaller sheets are enlarged by a whole factor


def contact_sheet(images: Sequence[np.ndarray], columns: int) -> bytes:
    """As PNG: images uint8 [C, H, W] with 1, 3 or 4 channels, row by row; the rest is black."""
    pictures = [Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images]
    mode, (width, height), rows = pictures[0].mode, pictures[0].size, -(-len(pictures) // columns)
    size = columns * (width + 1) - 1, rows * (height + 1) - 1
    sheet = Image.new(mode, size, LINE if mode == "L" else (LINE,) * len(mode))
    pictures += [Image.new(mode, (width, height))] * (rows * columns - len(pictures))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture, (column * (width + 1), row * (height + 1)))
    factor = max(1, round(SMALLEST / max(size)))
    buffer = io.BytesIO()
    sheet.resize((size[0] * factor, size[1] * factor), Image.Resampling.NEAREST).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
