"""Which values become black and white: one scale for all images of a folder, so that the darker one stays darker."""

import math
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

Kind = Literal["bytes", "integers", "floats"]  # of up to 8 bits (also each channel of a colour); of more; any floats
FULL = {"integers": (65535.0,), "floats": (1.0, 255.0, 65535.0)}  # the values that usually are white
LITTLE = 1 / 16  # images that fill less of their range would hardly be told from black


class Scale(NamedTuple):
    """The values that become 0 and 255; those beyond are clipped."""

    black: float
    white: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """uint8, of any numbers."""
        factor = 255 / (self.white - self.black)
        return ((values.clip(self.black, self.white) - self.black) * factor).round().astype(np.uint8)


BYTES = Scale(0.0, 255.0)


def kind_of(image: Image.Image) -> Kind:
    if image.mode == "F":
        return "floats"
    return "integers" if image.mode.startswith("I") else "bytes"


def checked(limits: tuple[float, float]) -> Scale:
    """Raises ValueError where they are none."""
    scale = Scale(*map(float, limits))
    if not (scale.black < scale.white and math.isfinite(scale.white - scale.black)):
        raise ValueError(f"range={list(limits)}: must be [black, white], two numbers of which the first is smaller")
    return scale


def choose_scale(kind: Kind, low: float, high: float) -> Scale:
    """For images of which `low` and `high` are the extrema.

    White is the full range: of integers 65535, of floats the one of 1, 255 and 65535 that they fill best. Beyond it,
    and where floats fill little of any, it is `high`. Black is 0, or `low` where that is negative; but where there are
    positive numbers, not below -white: -9999 stands for no brightness.
    """
    fitting = (white for white in FULL[kind] if high <= white and (kind == "integers" or high >= LITTLE * white))
    white = next(fitting, high)
    black = low if low < 0 and (white <= 0 or low >= -white) else 0.0
    return Scale(black, white if white > black else max(black + 1, math.nextafter(black, math.inf)))


def describe(kind: Kind, count: int, low: float, high: float) -> str:
    """What was chosen for `count` such images; with a remedy where they are dark."""
    scale = choose_scale(kind, low, high)
    told = (
        f"brightness: images of {kind} ({count:,}) hold {low:g} to {high:g}; {scale.black:g} becomes black and "
        f"{scale.white:g} white in all of them"
    )
    if kind == "integers" and 0 < high < LITTLE * scale.white:
        return f"{told}. That is less than 1/16 of the range: dataset.range=[{scale.black:g},{high:g}] uses all of it"
    return f"{told} (dataset.range=[black,white] sets others)"


def stretched(image: Image.Image, scale: Scale) -> Image.Image:
    """An image of bytes by another scale than its own; transparency stays."""
    table = scale.apply(np.arange(256.0)).tolist()
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    image = image.convert("RGBA" if has_alpha else "L" if image.mode in ("1", "L") else "RGB")
    colours = len(image.getbands()) - has_alpha
    return image.point([*table * colours, *(range(256) if has_alpha else ())])
