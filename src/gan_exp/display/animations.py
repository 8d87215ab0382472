"""Pictures as an animation (GIF, WebP, MP4) or side by side in one, and their captions."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked

ANIMATED = (".gif", ".webp", ".mp4")
FASTEST_GIF = 50  # frames a second; browsers slow down what is faster
CAPTION = 14  # points
BACKGROUND, TEXT = "#101010", "#e0e0e0"
VIDEO_QUALITY = "16"  # of x264: 0 is lossless, 18 hardly to be told from it


def check_animated(ending: str, fps: int) -> None:
    """Raises UserError where such a file can't be made, before any work is done."""
    if ending == ".gif" and fps > FASTEST_GIF:
        raise UserError(f"--fps {fps}: a GIF shows at most {FASTEST_GIF} frames a second; write a .webp or .mp4")
    if ending == ".mp4":
        _import_av()


def encode_animation(frames: Sequence[Image.Image], ending: str, fps: int, hold: int = 0) -> bytes:
    """The bytes of a .gif, .webp or .mp4 of `frames` of one size; the animation starts again at its end.

    The last frame is shown `hold` milliseconds longer. Only WebP keeps transparency; in the others it turns black.
    """
    if ending == ".mp4":
        return _encode_video([*frames, *[frames[-1]] * round(hold * fps / 1000)], fps)
    durations = [round(1000 / fps)] * len(frames)
    durations[-1] += hold
    pictures: list[Image.Image] = []
    for frame in frames:
        stop_if_asked()
        pictures.append(_palette(opaque(frame)) if ending == ".gif" else frame)
    settings: dict[str, Any] = {"lossless": True} if ending == ".webp" else {"optimize": False}
    buffer = io.BytesIO()
    first, *rest = pictures
    first.save(buffer, ending[1:].upper(), save_all=True, append_images=rest, duration=durations, loop=0, **settings)
    return buffer.getvalue()


def opaque(picture: Image.Image) -> Image.Image:
    """Without transparency: black lies behind, as in the data that is trained on without it."""
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture).convert("RGB")


def _palette(picture: Image.Image) -> Image.Image:
    return picture.quantize(256) if picture.mode == "RGB" else picture


def _encode_video(frames: Sequence[Image.Image], fps: int) -> bytes:
    """H.264 in the colours that every player knows, of which the sides must be even: a line may be added."""
    av = _import_av()
    buffer = io.BytesIO()
    width, height = (side + side % 2 for side in frames[0].size)
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": VIDEO_QUALITY})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            stop_if_asked()
            canvas = Image.new("RGB", (width, height))
            canvas.paste(opaque(frame).convert("RGB"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(canvas), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _import_av() -> Any:
    try:
        import av
    except ImportError:
        raise UserError(
            ".mp4: needs PyAV; install it with: pip install 'gan-exp[video]', or write a .gif or .webp"
        ) from None
    return av


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """`picture` with a line of text below it, which is cut off where it is wider."""
    font = ImageFont.load_default(CAPTION)
    band = round(sum(font.getbbox("Ag")[1::2]))  # as much below the letters as above
    picture = opaque(picture)
    framed = Image.new(picture.mode, (picture.width, picture.height + band), BACKGROUND)
    framed.paste(picture)
    ImageDraw.Draw(framed).text((4, picture.height), text, fill=TEXT, font=font)
    return framed


def side_by_side(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """One picture of all, from left to right, with `gap` pixels between."""
    mode = pictures[0].mode
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    joined = Image.new(mode, (width, max(picture.height for picture in pictures)))
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + gap
    return joined
