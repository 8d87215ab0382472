"""The console of all commands that show tables; it wraps nothing in a pipe, whose reader has another width."""

import os
import sys

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from gan_exp.runtime.terminal import wrap

UNLIMITED = 100_000  # columns of a pipe


class QuietPipeConsole(Console):
    def on_broken_pipe(self) -> None:
        """Go on silently where rich would end the process: the pipe has no reader any more (`gan-exp train | head`)."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what is still buffered


def make_console(quiet: bool = False) -> Console:
    console = QuietPipeConsole(quiet=quiet, highlight=False)
    return console if console.is_terminal else QuietPipeConsole(quiet=quiet, highlight=False, width=UNLIMITED)


class NamedRows:
    """A table of names and values. Print it with `crop=False`, since long words are never broken.

    A value whose longest word doesn't fit beside its name begins on the next line.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.rows: list[tuple[str, str]] = []

    def add(self, name: str, value: str) -> None:
        self.rows.append((name, value))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, column = options.max_width, 2 + max(len(name) for name, _ in self.rows)
        if self.title:
            yield from (Segment(self.title, Style(bold=True)), Segment.line())
        for name, value in self.rows:
            indent, lines = column, wrap(value, width - column)
            name = name.ljust(column)
            if max(map(len, lines)) > width - column:
                indent, lines = 2, wrap(value, width - 2)
                name = f"{name.rstrip()}\n  "
            yield Segment(name, Style(dim=True))
            yield Segment(("\n" + " " * indent).join(lines))
            yield Segment.line()
