"""Samples drawn in the terminal, pixel by pixel."""

import io

import pytest
import torch
from rich.color import Color
from rich.console import Console
from torch import Tensor

from gan_exp.display.console import make_console
from gan_exp.display.preview import Preview


def console(width: int = 40, **settings: object) -> Console:
    defaults = {"file": io.StringIO(), "width": width, "force_terminal": True, "color_system": "truecolor"}
    return Console(**{**defaults, "_environ": {}, **settings})  # type: ignore[arg-type]


def lines(images: Tensor, width: int = 40, **settings: object) -> list[str]:
    target = console(width, no_color=True, color_system=None, **settings)
    target.print(Preview(images))
    return target.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_two_pixels_to_a_character() -> None:
    """The upper one is the colour of the half block, the lower one its background."""
    image = torch.tensor([[[255, 0], [10, 20]], [[0, 255], [30, 40]], [[0, 0], [50, 60]]], dtype=torch.uint8)
    target = console()
    (line,) = target.render_lines(Preview(image.unsqueeze(0)), pad=False)
    drawn = [(segment.text, segment.style) for segment in line]
    for place, (upper, lower) in enumerate((((255, 0, 0), (10, 30, 50)), ((0, 255, 0), (20, 40, 60)))):
        text, style = drawn[place]
        assert text == "▀" and style is not None
        assert style.color == Color.from_rgb(*upper) and style.bgcolor == Color.from_rgb(*lower)


def test_shades_where_there_is_no_colour() -> None:
    image = torch.tensor([[0, 255, 128], [0, 255, 128]], dtype=torch.uint8).view(1, 1, 2, 3)
    assert lines(image) == [" @+ "]  # and a gap behind each image


@pytest.mark.parametrize(("width", "count"), [(40, 4), (35, 4), (34, 3), (17, 2), (9, 1), (8, 1)])
def test_as_many_as_fit(width: int, count: int) -> None:
    drawn = lines(torch.full((10, 1, 8, 8), 255, dtype=torch.uint8), width)
    assert len(drawn) == 4
    assert all(line.split() == ["@" * 8] * count for line in drawn)


def test_no_more_than_there_are() -> None:
    assert all(line.split() == ["@" * 8] * 2 for line in lines(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8), 100))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 48), (4, 45, 37), (2, 8, 200), (1, 1, 1), (3, 7, 5)])
def test_any_shape(shape: tuple[int, int, int]) -> None:
    images = torch.randint(256, (3, *shape), dtype=torch.uint8)
    for drawn in (lines(images, 80), lines(images, 80)):
        assert 1 <= len(drawn) <= 10 and all(len(line) <= 80 for line in drawn)
    target = console(80)
    target.print(Preview(images))
    assert target.file.getvalue().count("\n") == len(lines(images, 80))  # type: ignore[attr-defined]


def test_large_images_keep_their_proportions() -> None:
    drawn = lines(torch.full((1, 1, 80, 40), 255, dtype=torch.uint8))
    assert len(drawn) == 10 and drawn[0].rstrip() == "@" * 10


def test_in_a_pipe_the_usual_width_is_filled(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print(Preview(torch.full((99, 1, 8, 8), 255, dtype=torch.uint8)))
    assert capsys.readouterr().out.splitlines()[0].split() == ["@" * 8] * 11
