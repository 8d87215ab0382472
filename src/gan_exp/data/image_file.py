"""An image file opened by its content: which formats are read, what some of them need, and how large it may be."""

from pathlib import Path

from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from gan_exp.runtime.words import plural

# Pillow reads more, but starts other programs for some of them. It knows the last one from 11.3 on.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "AVIF")
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}  # brands in the container's first box
TIFF = (b"II*\0", b"MM\0*")
BITS_PER_SAMPLE, SAMPLES_PER_PIXEL, SAMPLE_FORMAT = 258, 277, 339  # tags of TIFF
SAMPLE_KINDS = {1: "integers", 2: "integers", 3: "floats", 5: "complex numbers", 6: "complex numbers"}
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
        if start[:4] in TIFF and (numbers := _numbers_of_tiff(path)):
            raise BrokenImage(
                f"is a TIFF with {numbers}, which Pillow can't read (of floats: 32 bits, one channel)"
            ) from error
        why = "it is of no known format, or broken from its beginning" if start else "it is empty"
        raise BrokenImage(f"can't be read as an image ({why})") from error


def _numbers_of_tiff(path: Path) -> str | None:
    """Of a pixel, in words; None where the file doesn't say."""
    try:
        with path.open("rb") as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(tags.next)
            tags.load(file)
        bits, kind = tags[BITS_PER_SAMPLE][0], SAMPLE_KINDS[tags.get(SAMPLE_FORMAT, (1,))[0]]
        return f"{plural(tags.get(SAMPLES_PER_PIXEL, 1), 'channel')} of {bits}-bit {kind}"
    except Exception:  # Pillow's reader of tags raises anything for broken bytes
        return None


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
