"""A table that stays legible in a narrow terminal: cells wrap at spaces and commas, never within a word or a number."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = 2  # columns between columns
PIECE = re.compile(r"[^\s,]+,?\s*|,\s*")


@dataclass
class Column:
    title: str
    cells: list[str]
    right: bool = False  # numbers
    folds: bool = False  # long cells may take several lines
    styles: list[str] = field(default_factory=list)  # of the cells

    @property
    def width(self) -> int:
        return max(map(len, (self.title, *self.cells)))

    @property
    def least(self) -> int:
        """The least width without breaking a word."""
        if not self.folds:
            return self.width
        pieces = (piece.rstrip() for cell in self.cells for piece in PIECE.findall(cell))
        return max(map(len, (self.title, *pieces)))


class Columns:
    """Columns side by side; those that don't fit go to further tables, which repeat the first `repeated` columns.

    `headings` are lines before the rows with these numbers.
    """

    def __init__(self, columns: Sequence[Column], repeated: int = 1, headings: Mapping[int, str] | None = None) -> None:
        self._columns, self._repeated, self._headings = list(columns), repeated, headings or {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, columns in enumerate(_tables(self._columns, self._repeated, options.max_width)):
            if number:
                yield Text("")
            yield from _lines(columns, _widths(columns, options.max_width), self._headings)


def _tables(columns: list[Column], repeated: int, width: int) -> Iterator[list[Column]]:
    first, rest = columns[:repeated], columns[repeated:]
    if not rest:
        yield first
    while rest:
        here = [*first, rest.pop(0)]
        while rest and _total([column.least for column in (*here, rest[0])]) <= width:
            here.append(rest.pop(0))
        yield here


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Those that fold are narrowed, the widest first."""
    widths = [column.width for column in columns]
    least = [column.least for column in columns]
    while (excess := _total(widths) - width) > 0:
        place = max(range(len(widths)), key=lambda place: (widths[place] > least[place]) * widths[place])
        if widths[place] == least[place]:
            break
        widths[place] = max(least[place], widths[place] - max(1, excess // 2))
    return widths


def _lines(columns: Sequence[Column], widths: Sequence[int], headings: Mapping[int, str]) -> Iterator[Text]:
    yield _line([column.title for column in columns], columns, widths, ["dim"] * len(columns))
    for row, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        if row in headings:
            yield Text(headings[row], "bold")
        styles = [column.styles[row] if column.styles else "" for column in columns]
        folded = [fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for line in range(max(map(len, folded))):
            yield _line([cell[line] if line < len(cell) else "" for cell in folded], columns, widths, styles)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], styles: Sequence[str]) -> Text:
    text = Text(no_wrap=True, overflow="ignore")
    for number, (cell, column, width, style) in enumerate(zip(cells, columns, widths, styles, strict=True)):
        text.append(" " * GAP * (number > 0))
        text.append(cell.rjust(width) if column.right else cell.ljust(width), style)
    text.rstrip()
    return text


def fold(text: str, width: int) -> list[str]:
    """`text` as lines of at most `width`, unless a word is longer."""
    if len(text) <= width:
        return [text]
    lines = [""]
    for piece in PIECE.findall(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
