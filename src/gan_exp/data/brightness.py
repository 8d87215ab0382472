"""The values that become black and white: one scale for all images of a folder, so that dark ones stay darker."""

import math
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from gan_exp.data.colours import has_transparency

Kind = Literal["bytes", "integers", "floats"]  # up to 8 bits per channel; integers of more bits; floats
# The largest values of common ranges; cameras' 10 and 12 bits are stored in 16.
USUAL_WHITE = {"integers": (255.0, 1023.0, 4095.0, 65535.0), "floats": (1.0, 255.0, 65535.0)}
DARK = 1 / 16  # images that fill less of their range look black


class Scale(NamedTuple):
    """The values that become 0 and 255; those beyond are clipped."""

    black: float
    white: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Numbers of any type as uint8."""
        factor = 255 / (self.white - self.black)
        return ((values.clip(self.black, self.white) - self.black) * factor).round().astype(np.uint8)


BYTES = Scale(0.0, 255.0)


def kind_of(image: Image.Image) -> Kind:
    if image.mode == "F":
        return "floats"
    return "integers" if image.mode.startswith("I") else "bytes"


def scale_from_limits(limits: tuple[float, float]) -> Scale:
    """Raises ValueError unless black is below white and both are finite."""
    scale = Scale(*map(float, limits))
    if not (scale.black < scale.white and math.isfinite(scale.white - scale.black)):
        raise ValueError(f"range={list(limits)}: must be [black, white], two numbers of which the first is smaller")
    return scale


def choose_scale(kind: Kind, low: float, high: float) -> Scale:
    """The scale for images whose smallest and largest values are `low` and `high`.

    White is the end of the smallest usual range that holds `high`: 65535 for integers from 4096 on, 4095 for those of
    12 bits. If `high` is above all of them, or below 1/16 of that range, white is `high`. Black is 0, or `low` if that
    is negative. A `low` below -white, such as -9999, marks missing values and is ignored.
    """
    white = next((white for white in USUAL_WHITE[kind] if DARK * white <= high <= white), high)
    black = low if low < 0 and (white <= 0 or low >= -white) else 0.0
    return Scale(black, white if white > black else max(black + 1, math.nextafter(black, math.inf)))


def describe(kind: Kind, count: int, low: float, high: float) -> str:
    """A line about the scale chosen for `count` images."""
    black, white = choose_scale(kind, low, high)
    narrow = kind == "integers" and white in USUAL_WHITE[kind][:-1]
    bits = f" (the end of {int(white).bit_length()} bits)" if narrow else ""
    return (
        f"brightness: images of {kind} ({count:,}) hold {low:g} to {high:g}; {black:g} becomes black and "
        f"{white:g}{bits} white in all of them (dataset.range=[black,white] sets others)"
    )


def rescale(image: Image.Image, scale: Scale) -> Image.Image:
    """Apply a scale to an image of bytes; transparency stays unchanged."""
    table = scale.apply(np.arange(256.0)).tolist()
    has_alpha = has_transparency(image)
    image = image.convert("RGBA" if has_alpha else "L" if image.mode in ("1", "L") else "RGB")
    colours = len(image.getbands()) - has_alpha
    return image.point([*table * colours, *(range(256) if has_alpha else ())])
