"""The output of a run in the terminal (a live display, plain lines, or nothing) or a notebook, and in log.txt."""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text
from torch import Tensor

from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.console import make_console
from gan_exp.display.loss_table import LossTable
from gan_exp.display.notebook import NotebookView, in_notebook
from gan_exp.display.plain import open_log, plain_line, time_left
from gan_exp.display.preview import Preview
from gan_exp.display.verdicts import verdict_line
from gan_exp.losses import Balance
from gan_exp.runtime.terminal import shorten, wrap
from gan_exp.runtime.words import plural

STOP, STOP_NOTEBOOK = "Ctrl-C saves and stops", "interrupting the kernel saves and stops"
FIRST_STEPS, FIRST_S = 20, 2.0  # as many steps, or seconds, are timed before the whole run's time is told
SHORT_S = 10.0  # of runs this short it isn't
REDRAWS_PER_SECOND = 1  # each waits until the terminal has read most of it


class Display:
    """The output of one run in the terminal or a notebook, and in `log`.

    `mode` is auto, live, plain or quiet; auto is live in a notebook, and in a terminal that can redraw, outside of
    parallel sweeps.
    `step` may be set after every step: the display is redrawn once a second at most.
    """

    def __init__(self, mode: str, log: Path, title: str, total_steps: int) -> None:
        self._notebook = NotebookView(self._draw) if mode in ("auto", "live") and in_notebook() else None
        self.console = self._notebook.console if self._notebook else make_console(quiet=mode == "quiet")
        redraws = self.console.is_terminal and not self.console.is_dumb_terminal
        alone = multiprocessing.current_process().name == "MainProcess"
        self.live = mode == "live" or self._notebook is not None or (mode == "auto" and redraws and alone)
        self._step = 0
        self._drawn_at = 0.0
        self._timing = False
        self._first: tuple[float, int] | None = None  # the moment after the first step
        self._title = title
        self._total_steps = total_steps
        self._losses = LossTable()
        self._preview: Preview | None = None
        self._verdicts: Sequence[Verdict] = ()
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            expand=True,
        )
        self._live: Live | NotebookView | None = None
        self._log = open_log(log)

    @property
    def step(self) -> int:
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        """Redraw between two steps if it is due; rich's thread would compete with the training for the interpreter."""
        self._step = step
        if self._timing:
            self._time_first_steps()
        live = self._live  # which the writing thread takes away if it can't show a line
        if live is not None and time.perf_counter() - self._drawn_at >= 1 / REDRAWS_PER_SECOND:
            self._try_to_show(live.refresh)
            self._drawn_at = time.perf_counter()

    def _time_first_steps(self) -> None:
        """Tell how long the run will take, from the steps after the first, which is slower."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self.step)
            return
        began, first = self._first
        seconds, steps, left = now - began, self.step - first, self._total_steps - self.step
        if steps < FIRST_STEPS and seconds < FIRST_S:
            return
        self._timing = False
        rate = steps / max(1e-9, seconds)
        if left / rate >= SHORT_S:
            self.say(
                f"time: about {time_left(left, rate)} for {plural(left, 'step')} ({1000 / rate:,.1f} ms each), "
                f"and what grids, checkpoints and evaluations take"
            )

    def start(self, step: int) -> None:
        self._started = (time.perf_counter(), step)
        self._timing, self._first = True, None
        self._step = step
        if self.live:
            self._task = self._progress.add_task("", total=self._total_steps, completed=step, rate="")
            self._running = True
            self._live = self._notebook or Live(get_renderable=self._draw, console=self.console, auto_refresh=False)
            self._try_to_show(self._live.start)

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for handler in list(self._log.handlers):
            self._log.removeHandler(handler)
            with suppress(OSError):  # a full disk
                handler.close()

    def stop(self) -> None:
        """End the live display; its last state stays in the terminal."""
        if self._live is not None:
            self._running = False
            self._try_to_show(self._live.stop)
            self._live = None

    def say(self, text: str) -> None:
        """Print a line above the live display, and log it."""
        self._log.info(text)
        self._print_line(text)

    def show_title(self) -> None:
        """Log the title, and print it where no live display shows it."""
        self._log.info(self._title)
        if not self.live:
            self._print_line(self._title)

    def exclude_time(self, seconds: float) -> None:
        """Exclude seconds that were not spent on training from the rate and the remaining time."""
        began, step = self._started
        self._started = (began + seconds, step)

    def show(self, renderable: RenderableType) -> None:
        """Print a table or a picture without logging it."""
        self._print(renderable, crop=False)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show and log the mean metrics of the steps since the last call; later steps may be known already."""
        if step > self.step:
            self.step = step
        self._losses.update(metrics)
        line = plain_line(step, self._total_steps, metrics, self._rate())
        self._log.info(line)
        if not self.live:
            self._print_line(line)

    def show_balance(self, balance: Balance) -> None:
        """Show the reference values of the losses: a line now, and a column in the live display."""
        self._losses.balance = balance
        known = zip(("D's loss", "G's"), balance, strict=True)
        losses = " and ".join(f"{which} {value:.4f}" for which, value in known if value is not None)
        if losses:
            self.say(f"balance, if D can't distinguish fakes from reals: {losses}")

    def show_verdicts(self, verdicts: Sequence[Verdict], step: int | None = None) -> None:
        """Show the present verdicts in the live display; with `step`, print and log those that are new."""
        before = {verdict.name for verdict in self._verdicts}
        self._verdicts = verdicts
        for verdict in verdicts:
            if step is not None and verdict.name not in before:
                self.say(f"doctor at step {step}: {verdict.line()}")

    def set_preview(self, images: Tensor) -> None:
        """Set the samples to show, uint8 [N, C, H, W]."""
        if self._notebook is not None:
            self._notebook.set_samples(images)
        else:
            self._preview = Preview(images)

    def show_preview(self) -> None:
        """Print the samples where no live display has shown them."""
        if self._preview is not None and not self.live:
            self._print(self._preview)

    def _print_line(self, text: str) -> None:
        self._print("\n".join(wrap(text, self.console.width)), soft_wrap=True, markup=False)

    def _print(self, renderable: RenderableType, **options: bool) -> None:
        self._try_to_show(lambda: self.console.print(renderable, **options))  # type: ignore[arg-type]
        if self._notebook is not None:
            self._try_to_show(self._notebook.refresh)

    def _try_to_show(self, show: Callable[[], None]) -> None:
        """Call `show`; after an OSError, such as from a closed terminal, the run goes on and shows nothing more.

        In a notebook after any error: a kernel's connection has errors of its own.
        """
        try:
            show()
        except Exception as error:
            if self._notebook is None and not isinstance(error, OSError):
                raise
            self._log.info(f"nothing more can be shown: {error}")
            self.console.quiet = True
            self._live = self._notebook = None
            self.live = False

    def _rate(self) -> float:
        began, step = self._started
        return (self.step - step) / max(1e-9, time.perf_counter() - began)

    def _draw(self) -> RenderableType:
        rate = self._rate()
        text = f"{rate:,.1f} steps/s, {time_left(self._total_steps - self.step, rate)} left"
        self._progress.update(self._task, completed=self.step, rate=text)
        width = self.console.width
        parts: list[RenderableType] = [Text(shorten(self._title, width), style="bold"), self._losses.table(width)]
        if self._verdicts:
            parts.append(verdict_line(self._verdicts, width))
        parts.append(self._progress)
        if self._preview is not None:
            parts.append(self._preview)
        if self._running:
            # A short line at the end, because the terminal echoes ^C behind it: behind a full line it would begin
            # another one, and the next redraw would miss the first line.
            parts.append(Text(STOP_NOTEBOOK if self._notebook else STOP, style="dim"))
        return Group(*parts)
