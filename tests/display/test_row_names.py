import numpy as np
import pytest
from PIL import Image

from gan_exp.display import row_names
from gan_exp.display.row_names import with_row_names


def test_the_picture_stays_and_each_row_has_a_name() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60), dtype=np.uint8))
    named = with_row_names(picture, ["cat", "dog", ""], [0, 1, 2])
    assert named.mode == "L" and named.height == 90 and named.width > 60
    np.testing.assert_array_equal(np.asarray(named)[:, -60:], np.asarray(picture))
    column = np.asarray(named)[:, :-60].astype(int)
    background = column[0, 0]
    ink = [(column[row : row + 30] != background).sum() for row in (0, 30, 60)]
    assert ink[0] > 20 and ink[1] > 20 and ink[2] == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours(mode: str) -> None:
    named = with_row_names(Image.new(mode, (60, 60), (255, 0, 0)), ["cat", "dog"], [0, 1])
    assert named.mode == "RGB" and named.getpixel((named.width - 1, 0)) == (255, 0, 0)


def test_long_names_are_cut_off() -> None:
    named = with_row_names(Image.new("L", (200, 40)), ["a very long name of a class, longer than all others"], [0])
    assert 250 < named.width <= 200 + 100 + 80


def test_letters_that_no_font_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own font has few of them; without others the class's number stands there."""
    monkeypatch.setattr(row_names, "FONTS", ())
    picture = Image.new("L", (60, 60))
    named, expected = (with_row_names(picture, [first, "a b"], [7, 8]) for first in ("猫", "7"))
    assert named.tobytes() == expected.tobytes()
