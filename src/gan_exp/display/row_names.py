"""Names beside the rows of a grid."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from gan_exp.display.animations import BACKGROUND, TEXT, opaque

SMALLEST, LARGEST = 9, 20  # points
FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf")  # of the system, for letters that Pillow's own font lacks
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def with_row_names(picture: Image.Image, names: Sequence[str], numbers: Sequence[int]) -> Image.Image:
    """`picture`, whose rows of equal height are as many as `names`, with a name to the left of each.

    Names wider than half the picture are cut off; one that no font here can write is replaced by its number.
    """
    height = picture.height / len(names)
    size = min(LARGEST, max(SMALLEST, round(height * 0.5)))
    widest = max(picture.width // 2, 8 * size)
    written = [_written(name, str(number), size, widest) for name, number in zip(names, numbers, strict=True)]
    column = 2 * (size // 2) + round(max(font.getlength(text) for text, font in written))
    picture = opaque(picture)
    framed = Image.new(picture.mode, (column + picture.width, picture.height), BACKGROUND)
    framed.paste(picture, (column, 0))
    draw = ImageDraw.Draw(framed)
    for row, (text, font) in enumerate(written):
        draw.text((column - size // 2, round((row + 0.5) * height)), text, fill=TEXT, font=font, anchor="rm")
    return framed


def _written(name: str, otherwise: str, size: int, width: float) -> tuple[str, Font]:
    """The text and its font."""
    font = _font(name, size)
    return (otherwise, ImageFont.load_default(size)) if font is None else (_shortened(name, font, width), font)


def _font(text: str, size: int) -> Font | None:
    """The first font that has all letters of `text`."""
    for font in _fonts(size):
        blank = bytes(font.getmask("\U0010ffff"))  # the box for what a font lacks
        if all(letter.isspace() or bytes(font.getmask(letter)) != blank for letter in text):
            return font
    return None


def _fonts(size: int) -> list[Font]:
    found: list[Font] = [ImageFont.load_default(size)]
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return found


def _shortened(text: str, font: Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..."
