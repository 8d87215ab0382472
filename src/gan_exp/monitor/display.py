"""What a run shows in the terminal, and writes to log.txt: live with colours, plain lines in a pipe, or nothing."""

import logging
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor

from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.losses import Balance
from gan_exp.monitor.diagnosis import verdict_line
from gan_exp.monitor.preview import Preview

REDRAWS_PER_SECOND = 1  # each fills a terminal's buffer several times over, which whoever reads it must empty meanwhile
TREND_LENGTH = 24
BARS = "▁▂▃▄▅▆▇█"


class Display:
    """Set `step` as often as you like: it is drawn a few times a second at most.

    `mode` is auto, live, plain or quiet; auto is live in a terminal that can redraw, outside of parallel sweeps.
    """

    def __init__(self, mode: str, log: Path, title: str, total_steps: int) -> None:
        self.console = _Console(quiet=mode == "quiet", highlight=False)
        if not self.console.is_terminal:
            self.console = _Console(quiet=mode == "quiet", highlight=False, width=100)
        redraws = self.console.is_terminal and not self.console.is_dumb_terminal
        alone = multiprocessing.current_process().name == "MainProcess"
        self.live = mode == "live" or (mode == "auto" and redraws and alone)
        self._step = 0
        self._drawn_at = 0.0
        self._title = title
        self._total_steps = total_steps
        self._metrics: Mapping[str, float] = {}
        self._balance = Balance()
        self._preview: Preview | None = None
        self._verdicts: Sequence[Verdict] = ()
        self._trends: dict[str, deque[float]] = {}
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            expand=True,
        )
        self._live: Live | None = None
        self._log = _open_log(log)

    @property
    def step(self) -> int:
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        """Redraws between two steps, not in rich's thread: it would take turns with the training at every operation."""
        self._step = step
        if self._live is not None and time.perf_counter() - self._drawn_at >= 1 / REDRAWS_PER_SECOND:
            self._reach(self._live.refresh)
            self._drawn_at = time.perf_counter()

    def start(self, step: int) -> None:
        self._started = (time.perf_counter(), step)
        self._step = step
        if self.live:
            self._task = self._progress.add_task("", total=self._total_steps, completed=step, rate="")
            self._live = Live(get_renderable=self._draw, console=self.console, auto_refresh=False)
            self._reach(self._live.start)

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
        """Leave the last picture of the live display standing."""
        if self._live is not None:
            self._reach(self._live.stop)
            self._live = None

    def say(self, text: str) -> None:
        """A line above the live display and in the log."""
        self._log.info(text)
        self._print(text, soft_wrap=True, markup=False)

    def leave_out(self, seconds: float) -> None:
        """Of the time that the rate and what is left of the run are reckoned from."""
        began, step = self._started
        self._started = (began + seconds, step)

    def show(self, renderable: RenderableType) -> None:
        """A table or a picture; the log has no use for it."""
        self._print(renderable)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """The numbers of a window of steps."""
        self.step = step
        self._metrics = metrics
        for tag in ("loss/discriminator", "loss/generator"):
            self._trends.setdefault(tag, deque(maxlen=TREND_LENGTH)).append(metrics[tag])
        line = _plain_line(step, self._total_steps, metrics, self._rate())
        self._log.info(line)
        if not self.live:
            self._print(line, soft_wrap=True, markup=False)

    def compare_with(self, balance: Balance) -> None:
        """What the losses are to be read against: a line at the beginning, and a column of the live display."""
        self._balance = balance
        known = zip(("D's loss", "G's"), balance, strict=True)
        losses = " and ".join(f"{which} {value:.4f}" for which, value in known if value is not None)
        if losses:
            self.say(f"balance, where D can't tell fakes from reals: {losses}")

    def diagnose(self, verdicts: Sequence[Verdict], step: int | None = None) -> None:
        """What holds now; with a `step`, what is new among it has a line of its own."""
        before = {verdict.name for verdict in self._verdicts}
        self._verdicts = verdicts
        for verdict in verdicts:
            if step is not None and verdict.name not in before:
                self.say(f"doctor at step {step}: {verdict.line()}")

    def preview(self, images: Tensor) -> None:
        """Samples, uint8 [N, C, H, W]."""
        self._preview = Preview(images)

    def show_preview(self) -> None:
        """Once, below all else, where there is a terminal or a person reads the lines later."""
        if self._preview is not None:
            self._print(self._preview)

    def _print(self, renderable: RenderableType, **options: bool) -> None:
        self._reach(lambda: self.console.print(renderable, **options))  # type: ignore[arg-type]

    def _reach(self, show: Callable[[], None]) -> None:
        """A terminal that was closed, or a pipe that nobody reads any more, must not end a run."""
        try:
            show()
        except OSError as error:
            self._log.info(f"nothing more can be shown: {error}")
            self.console.quiet = True
            self._live = None
            self.live = False

    def _rate(self) -> float:
        began, step = self._started
        return (self.step - step) / max(1e-9, time.perf_counter() - began)

    def _draw(self) -> RenderableType:
        rate = self._rate()
        text = f"{rate:,.1f} steps/s, {_time_left(self._total_steps - self.step, rate)} left"
        self._progress.update(self._task, completed=self.step, rate=text)
        parts: list[RenderableType] = [Text(self._title, style="bold", no_wrap=True), self._scores()]
        if self._verdicts:
            parts.append(verdict_line(self._verdicts))
        parts.append(self._progress)
        if self._preview is not None:
            parts.append(self._preview)
        return Group(*parts)

    def _scores(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column, width in (
            ("network", 15),
            ("loss", 8),
            ("balance", 7),
            ("trend", TREND_LENGTH),
            ("what it achieves", None),
        ):
            table.add_column(column, no_wrap=True, min_width=width)
        found = self._metrics
        if found:
            real, fake = found["accuracy/real"], found["accuracy/fake"]
            achieved = f"right on {(real + fake) / 2:.0%} (reals {real:.0%}, fakes {fake:.0%})"
            table.add_row("[cyan]D[/] discriminator", *self._loss("discriminator"), achieved)
            table.add_row("[magenta]G[/] generator", *self._loss("generator"), f"fools D with {1 - fake:.0%}")
        else:
            table.add_row("[cyan]D[/] discriminator", "…", "", "", "")
            table.add_row("[magenta]G[/] generator", "…", "", "", "")
        return table

    def _loss(self, network: str) -> tuple[str, str, str]:
        balance = getattr(self._balance, network)
        tag = f"loss/{network}"
        return f"{self._metrics[tag]:.4f}", "" if balance is None else f"{balance:.4f}", sparkline(self._trends[tag])


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process where nobody reads the pipe any more (`gan-exp train | head`)."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered must go somewhere


def sparkline(values: deque[float]) -> str:
    """A row of bars from the lowest to the highest of `values`."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def _plain_line(step: int, total: int, metrics: Mapping[str, float], rate: float) -> str:
    return (
        f"step {step}/{total}  D loss {metrics['loss/discriminator']:.4f}, "
        f"accuracy {metrics['accuracy/discriminator']:.1%} "
        f"(real {metrics['accuracy/real']:.1%}, fake {metrics['accuracy/fake']:.1%})  "
        f"G loss {metrics['loss/generator']:.4f}  {rate:,.1f} steps/s, {_time_left(total - step, rate)} left"
    )


def _time_left(steps: int, rate: float) -> str:
    """h:mm:ss at the run's mean rate; a day is no place to stop counting."""
    if rate <= 0:
        return "-:--:--"
    minutes, seconds = divmod(round(steps / rate), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _open_log(path: Path) -> logging.Logger:
    log = logging.Logger(f"gan_exp.{path}", logging.INFO)  # not registered: nothing of Hydra's or the user's reaches it
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk: logging would print a traceback
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    return log
