"""An image file opened by its content: which formats are read, what some of them need, and how large it may be."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

# Pillow reads more, but starts other programs for some of them. It knows the last one from 11.3 on.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "AVIF")
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}  # brands in the container's first box
AVIF = {b"avif", b"avis"}


class BrokenImage(Exception):
    """An image that can't be used; the message says why, as the end of a sentence that begins with its name."""


class RemovedImage(BrokenImage):
    """A file that was there when the folder was listed."""


def open_image(path: Path, max_megapixels: float) -> Image.Image:
    """Read the header only and check the size, so that a decompression bomb is refused before it is decoded."""
    try:
        Image.MAX_IMAGE_PIXELS = None  # `max_megapixels` is checked instead: Pillow only warns up to twice its limit
        image = _identified(path)
        # or Pillow 12 and 13 map an uncompressed, rotated TIFF into memory with its sides exchanged
        image.filename = ""
    except BrokenImage:
        raise
    except FileNotFoundError as error:
        raise RemovedImage("was removed while the folder was read") from error
    except Exception as error:
        raise BrokenImage(f"can't be read as an image ({one_line(error)})") from error
    if image.width * image.height > max_megapixels * 1e6:
        megapixels = image.width * image.height / 1e6
        image.close()
        raise BrokenImage(f"has {megapixels:,.6g} megapixels, more than dataset.max_megapixels={max_megapixels:g}")
    return image


def one_line(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return " ".join((reason or str(error)).split())[:120] or type(error).__name__


def _identified(path: Path) -> ImageFile:
    try:
        return Image.open(path, formats=FORMATS)
    except (UnidentifiedImageError, KeyError) as error:  # KeyError: Pillow doesn't know the last one
        with path.open("rb") as file:
            start = file.read(256)
        brands = _brands(start)
        if brands & HEIC:
            return _open_heic(path)
        if brands & AVIF and "AVIF" not in Image.OPEN:
            raise BrokenImage("is an AVIF image, which needs Pillow 11.3 or newer: pip install -U pillow") from error
        why = "it is of no known format, or broken from its beginning" if start else "it is empty"
        raise BrokenImage(f"can't be read as an image ({why})") from error


def _brands(start: bytes) -> set[bytes]:
    """What a file in the container of HEIC and AVIF calls itself; empty for others."""
    if start[4:8] != b"ftyp":
        return set()
    fields = start[8 : int.from_bytes(start[:4])]
    return {fields[k : k + 4] for k in range(0, len(fields), 4)}


def _open_heic(path: Path) -> ImageFile:
    try:
        import pillow_heif
    except ImportError:
        raise BrokenImage("is a HEIC image, which needs pillow-heif: pip install 'gan-exp[heic]'") from None
    pillow_heif.register_heif_opener()
    return Image.open(path, formats=("HEIF",))
