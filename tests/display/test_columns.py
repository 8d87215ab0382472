import io

import pytest
from rich.console import Console

from gan_exp.display.columns import Column, Columns, fold


def shown(columns: Columns, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(columns, crop=False)
    return [line.rstrip() for line in file.getvalue().splitlines()]


COLUMNS = [
    Column("run", ["0-lr=0.0002,seed=0", "1"], folds=True),
    Column("fid", ["7.06", "12.1"], right=True),
    Column("not default", ["lr=0.0002 seed=0 model=dcgan", ""], folds=True),
]


def test_side_by_side() -> None:
    assert shown(Columns(COLUMNS, headings={1: "swept"}), 100) == [
        "run                  fid  not default",
        "0-lr=0.0002,seed=0  7.06  lr=0.0002 seed=0 model=dcgan",
        "swept",
        "1                   12.1",
    ]


def test_long_cells_wrap_between_words() -> None:
    assert shown(Columns(COLUMNS), 34) == [
        "run             fid  not default",
        "0-lr=0.0002,   7.06  lr=0.0002",
        "seed=0               seed=0",
        "                     model=dcgan",
        "1              12.1",
    ]


@pytest.mark.parametrize("width", range(20, 100, 7))
def test_no_word_is_broken_and_no_line_is_too_long(width: int) -> None:
    lines = shown(Columns(COLUMNS), width)
    assert max(map(len, lines)) <= max(width, 25)
    words = " ".join(lines).replace(",", ", ").split()
    assert {"0-lr=0.0002,", "seed=0", "7.06", "lr=0.0002", "model=dcgan"} <= set(words)


def test_what_has_no_room_goes_to_another_table_with_the_name() -> None:
    columns = [Column("settings", ["a", "b"]), *(Column(f"m{k}", ["1.234 +- 5", "2"], right=True) for k in range(4))]
    lines = shown(Columns(columns), 36)
    assert [line for line in lines if line.startswith("settings")] == [lines[0], lines[4]] and lines[3] == ""
    assert "m1" in lines[0] and "m2" in lines[4] and lines[5].startswith("a ")


def test_fold() -> None:
    assert fold("a b", 3) == ["a b"] and fold("a, bb c", 4) == ["a,", "bb c"] and fold("abcdef", 3) == ["abcdef"]
