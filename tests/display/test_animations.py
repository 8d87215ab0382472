import io
import sys

import numpy as np
import pytest
from PIL import Image

from gan_exp.display.animations import captioned, check_animated, encode_animation, opaque, side_by_side
from gan_exp.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 4), dtype=np.uint8)


def frames(mode: str) -> list[Image.Image]:
    return [Image.fromarray(pixels).convert(mode) for pixels in PIXELS]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_images_can_be_read_back_and_go_round(ending: str, mode: str) -> None:
    with Image.open(io.BytesIO(encode_animation(frames(mode), ending, fps=10, hold=500))) as film:
        assert film.n_frames == 3 and film.size == (7, 9) and film.info["loop"] == 0
        durations = []
        for number, frame in enumerate(frames(mode)):
            film.seek(number)
            film.load()
            durations.append(film.info["duration"])
            if ending == ".webp" and mode != "RGBA":  # lossless
                np.testing.assert_array_equal(np.asarray(film.convert(mode)), np.asarray(frame))
            if ending == ".gif" and mode == "L":
                np.testing.assert_array_equal(np.asarray(film.convert("L")), np.asarray(frame))
    assert durations == [100, 100, 600]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_video_has_all_frames_and_even_sides(mode: str) -> None:
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(encode_animation(frames(mode), ".mp4", fps=10, hold=200))) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 10
    assert len(pictures) == 5 and pictures[0].shape == (10, 8, 3)


def test_without_the_package_for_video_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'gan-exp\[video\]', or write a .gif or .webp"):
        check_animated(".mp4", 10)
    check_animated(".gif", 50)


def test_a_gif_is_not_faster_than_browsers_show_it() -> None:
    with pytest.raises(UserError, match="--fps 51: a GIF shows at most 50"):
        check_animated(".gif", 51)


def test_transparent_pixels_turn_black() -> None:
    picture = Image.new("RGBA", (2, 1), (200, 100, 50, 0))
    picture.putpixel((1, 0), (200, 100, 50, 255))
    assert list(np.asarray(opaque(picture)).reshape(-1)) == [0, 0, 0, 200, 100, 50]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_caption_stands_below_the_untouched_picture(mode: str) -> None:
    picture = frames(mode)[0].resize((70, 90), Image.Resampling.NEAREST)
    framed = captioned(picture, "step 1,000")
    assert framed.width == 70 and 90 < framed.height < 120
    np.testing.assert_array_equal(np.asarray(framed)[:90], np.asarray(opaque(picture)))
    assert len(np.unique(np.asarray(framed)[90:])) > 5  # there is text
    assert framed.size == captioned(picture, "").size


def test_side_by_side() -> None:
    joined = side_by_side(frames("RGB"), gap=2)
    assert joined.size == (3 * 7 + 2 * 2, 9)
    np.testing.assert_array_equal(np.asarray(joined)[:, 18:], np.asarray(frames("RGB")[2]))
