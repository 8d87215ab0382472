"""Colour profiles: images in other colour spaces than sRGB, as cameras and editors save them, converted to it."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

PROFILES = 64  # kept at once; a folder usually has a few


def has_transparency(image: Image.Image) -> bool:
    """By its mode, or by a colour that stands for it; all pixels may be opaque."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


@lru_cache(PROFILES)
def is_srgb(profile: bytes) -> bool:
    """Whether an ICC profile calls itself sRGB, or can't be read, so that nothing is converted."""
    try:
        return "srgb" in ImageCms.getProfileDescription(_opened(profile)).lower()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True


def to_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB, its transparency unchanged; as it is without a profile, or with one that doesn't fit it."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or is_srgb(profile) or image.mode.startswith(("I", "F")) or image.mode == "1":
        return image
    gray = image.mode in ("L", "LA", "La")
    mode = "L" if gray else image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    alpha = image.convert("RGBA").getchannel("A") if has_transparency(image) else None
    try:
        converted = ImageCms.applyTransform(image.convert(mode), _transform(profile, mode))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert converted is not None  # it is not changed in place
    if gray:
        converted = converted.convert("L")
    if alpha is not None:
        converted = converted.convert("RGBA")
        converted.putalpha(alpha)
    return converted


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(_opened(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
