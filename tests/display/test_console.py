"""Tables of names and values: wrapped at words in a terminal, and not at all in a pipe."""

import io

import pytest
from rich.console import Console

from gan_exp.display.console import NamedRows, make_console

PATH = "outputs/2026-11-26/10-10-39-mlp-digits/samples/step-00004000.png"


def rows() -> NamedRows:
    found = NamedRows("the [title]")
    found.add("evidence", "word " * 20 + "end")
    found.add("samples", PATH)
    return found


def printed(width: int) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=width).print(rows(), crop=False)
    return written.getvalue().splitlines()


def test_lines_are_aligned_and_a_path_stays_whole() -> None:
    assert printed(80) == [
        "the [title]",
        "evidence  " + "word " * 13 + "word",
        "          " + "word " * 6 + "end",
        f"samples   {PATH}",
    ]


@pytest.mark.parametrize("width", [70, 60, 20])
def test_a_long_path_has_a_separate_line(width: int) -> None:
    assert printed(width)[-2:] == ["samples", f"  {PATH}"]


def test_nothing_is_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print(rows(), crop=False)
    assert capsys.readouterr().out.splitlines()[1] == "evidence  " + "word " * 20 + "end"
