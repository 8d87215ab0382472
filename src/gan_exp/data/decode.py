"""One image file decoded to uint8 [channels, height, width], from many formats and all kinds of pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from gan_exp.data.brightness import BYTES, Kind, Scale, kind_of, rescale
from gan_exp.data.colours import has_transparency, is_srgb, to_srgb
from gan_exp.data.image_file import BITS_PER_SAMPLE, SAMPLE_FORMAT, BrokenImage, one_line, open_image

Fit = Literal["crop", "pad", "stretch"]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
ORIENTATION = 0x0112  # Exif's tag for how the camera was held
# Where a PNG may have it: Exif's own chunk, ImageMagick's text, XMP.
WITH_ORIENTATION = ("exif", "Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp", "xmp")
# That bring an image of each orientation upright. ImageOps.exif_transpose does the same and writes all tags anew, which
# fails where another one is malformed.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageHeader(NamedTuple):
    """What an image's file says before its pixels are decoded; height and width are those of the upright image."""

    height: int
    width: int
    channels: int  # by its mode; `count_channels` looks at the pixels
    kind: Kind
    format: str
    has_profile: bool  # of colours, which is not sRGB itself


@dataclass(frozen=True)
class TargetFormat:
    """The shape and brightness that every image is converted to."""

    height: int
    width: int
    fit: Fit
    channels: int
    scales: Mapping[Kind, Scale]
    background: tuple[int, int, int] = (0, 0, 0)  # red, green, blue behind what is transparent, and of bars


def read_header(path: Path, max_megapixels: float) -> ImageHeader:
    with open_image(path, max_megapixels) as image:
        try:
            width, height = image.size
            if image.format == "TIFF":  # some versions of Pillow have exchanged the sides already, some have not
                tags: Any = image
                width, height = tags.tag_v2[256], tags.tag_v2[257]
            if _orientation(image) >= 5:  # rotated by 90 degrees
                width, height = height, width
            profile = image.info.get("icc_profile")
            has_profile = profile is not None and not is_srgb(profile)
            return ImageHeader(height, width, _channels_of(image), kind_of(image), image.format or "?", has_profile)
        except Exception as error:
            raise BrokenImage(f"can't be decoded ({one_line(error)})") from error


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not any(name in image.info for name in WITH_ORIENTATION):
        return 1  # Pillow would decode all pixels to look behind them
    tags: Any = image.tag_v2 if image.format == "TIFF" else image.getexif()  # type: ignore[attr-defined]
    value = tags.get(ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def _channels_of(image: Image.Image) -> int:
    if kind_of(image) != "bytes":
        return 1
    if has_transparency(image):
        return 4
    return 1 if image.mode in ("1", "L") else 3


def count_channels(path: Path, max_megapixels: float) -> int:
    """By the pixels, whatever the mode: 4 if any is not opaque, else 1 if all are gray, else 3."""
    image = _upright(path, max_megapixels)
    if kind_of(image) != "bytes":
        return 1
    if _channels_of(image) == 4:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            return 4
    if image.mode in ("1", "L"):
        return 1
    red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).T
    return 1 if np.array_equal(red, green) and np.array_equal(green, blue) else 3


def decode(path: Path, target: TargetFormat, max_megapixels: float) -> np.ndarray:
    """uint8 [channels, height, width]."""
    image = _upright(path, max_megapixels)
    try:
        return _shaped(_eight_bits(image, target.scales[kind_of(image)]), target)
    except BrokenImage:
        raise
    except Exception as error:
        raise BrokenImage(f"can't be decoded ({one_line(error)})") from error


def _upright(path: Path, max_megapixels: float) -> Image.Image:
    """The first frame, decoded, turned as the camera was held, in the colours of sRGB."""
    with open_image(path, max_megapixels) as image:
        try:
            transposition = TRANSPOSITIONS.get(_orientation(image))
            image.load()
            if transposition is not None and image.format != "TIFF":  # Pillow transposes those itself
                return to_srgb(image.transpose(transposition))
            return to_srgb(image)
        except Exception as error:  # Pillow's decoders raise anything for broken bytes
            raise BrokenImage(f"can't be decoded ({one_line(error)})") from error


def read_extrema(path: Path, max_megapixels: float) -> tuple[float, float]:
    """The smallest and the largest value of an image of integers or floats."""
    with open_image(path, max_megapixels) as image:
        try:
            image.load()
            values = _numbers(image)
            return float(values.min()), float(values.max())
        except BrokenImage:
            raise
        except Exception as error:
            raise BrokenImage(f"can't be decoded ({one_line(error)})") from error


def _numbers(image: Image.Image) -> np.ndarray:
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "I" and _is_unsigned(image):
        values = values % 2**32
    if not np.isfinite(values).all():
        raise BrokenImage("contains values that are not finite")
    return values


def _is_unsigned(image: Image.Image) -> bool:
    """Whether Pillow took 32 bits for signed ones, so that the upper half of their range became negative."""
    tags: Any = getattr(image, "tag_v2", {})
    return bool(tags.get(BITS_PER_SAMPLE) == (32,) and tags.get(SAMPLE_FORMAT, (1,)) == (1,))


def _eight_bits(image: Image.Image, scale: Scale) -> Image.Image:
    if kind_of(image) == "bytes":
        return image if scale == BYTES else rescale(image, scale)
    return Image.fromarray(scale.apply(_numbers(image)))


def _shaped(image: Image.Image, target: TargetFormat) -> np.ndarray:
    if _channels_of(image) == 4:
        image = image.convert("RGBA")
        if target.channels < 4:  # hides the colours of transparent pixels behind the background
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*target.background, 255)), image)
    image = image.convert(MODES[target.channels])
    if target.channels == 4:
        image = _cleared(image)
    size = (target.width, target.height)
    method = Image.Resampling.LANCZOS
    if image.size == size:
        pass
    elif target.fit == "stretch":
        image = image.resize(size, method)
    elif target.fit == "crop":
        image = ImageOps.fit(image, size, method)
    else:
        scale = min(target.width / image.width, target.height / image.height)
        width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        bars = Image.new("RGB", size, target.background).convert(image.mode)  # of transparent images: transparent
        padded = Image.new("RGBA", size, 0) if target.channels == 4 else bars
        padded.paste(image.resize((width, height), method), ((size[0] - width) // 2, (size[1] - height) // 2))
        image = padded
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _cleared(image: Image.Image) -> Image.Image:
    """RGBA whose wholly transparent pixels are black: what editors leave in them nobody sees, and G would learn it."""
    transparent = image.getchannel("A").point([255, *[0] * 255])
    if transparent.getbbox() is None:
        return image
    image = image.copy()
    image.paste((0, 0, 0, 0), mask=transparent)
    return image
