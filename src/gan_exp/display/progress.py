"""How far work of known size is: a bar in a terminal, a line now and then in a pipe, nothing for what ends at once."""

import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gan_exp.display.console import make_console
from gan_exp.display.plain import time_left
from gan_exp.runtime.terminal import say

FIRST_S, BETWEEN_S, REDRAW_S = 1.0, 10.0, 0.2


class WorkProgress:
    """`advance` after each part; `what` names the work, such as "samples"."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._console = make_console()
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._bar: Progress | None = None

    def __enter__(self) -> "WorkProgress":
        self._began = time.perf_counter()
        self._next = self._began + (FIRST_S if self._live else BETWEEN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.perf_counter()
        if now < self._next or self._done >= self._total:
            return
        if self._live:
            self._draw()
            self._next = now + REDRAW_S
        else:
            rate = self._done / (now - self._began)
            rest = time_left(self._total - self._done, rate)
            say(f"{self._done:,} of {self._total:,} {self._what}; {rate:,.0f} a second, {rest} left")
            self._next = now + BETWEEN_S

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                auto_refresh=False,  # its thread would compete with the work for the interpreter
            )
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        self._bar.update(self._task, completed=self._done, refresh=True)
