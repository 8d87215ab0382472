"""How far a sweep is: a live table in a terminal, one line for each event in a pipe."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gan_exp.comparison.records import SCORES, read_runs
from gan_exp.display.console import make_console
from gan_exp.display.plain import time_left
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import report, shorten, wrap
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan
from gan_exp.sweeps.process import JobProcess

REDRAW_EVERY_S = 1.0
SCORE_EVERY_S = 10.0  # the scores of running jobs are read from all of their metrics
ENOUGH = 0.02  # the share of the work after which its own speed tells more than the timed steps
SHOWN = 8  # running jobs in the live table; with more, their number


class Best(NamedTuple):
    job: Job
    tag: str
    score: float
    lower: bool
    step: int

    def __str__(self) -> str:
        return f"{self.tag} {self.score:.4g}, run {self.job}"


class Progress:
    """The standing of a sweep, and its display.

    `mode` is that of a run: auto, live, plain or quiet. `outcomes` are of jobs that end before the first begins.
    """

    def __init__(self, jobs: Sequence[Job], plan: Plan, mode: str, outcomes: Mapping[int, Outcome]) -> None:
        self.console = make_console(quiet=mode == "quiet")
        redraws = self.console.is_terminal and not self.console.is_dumb_terminal
        self.live = mode == "live" or (mode == "auto" and redraws)
        self.jobs, self.plan = jobs, plan
        self.outcomes = dict(outcomes)
        self.best: Best | None = None
        self._running: Sequence[JobProcess] = ()
        self._began = self._drawn_at = self._scored_at = time.monotonic()
        # Seconds of work by the timed steps, and the steps that they are for.
        left = {job.number: job.steps_left for job in jobs if job.number not in outcomes}
        self._work = {
            job.number: (plan.seconds(job, left[job.number]), left[job.number]) for job in jobs if job.number in left
        }
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if self.live:
            self._live = Live(get_renderable=self._draw, console=self.console, auto_refresh=False)
            self._try_to_show(self._live.start)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the live table; its last state stays in the terminal."""
        if self._live is not None:
            self._running = ()
            self._try_to_show(self._live.stop)
            self._live = None

    def say(self, text: str) -> None:
        """A line of its own, above the live table."""
        lines = "\n".join(wrap(text, self.console.width))
        self._try_to_show(lambda: self.console.print(lines, soft_wrap=True, markup=False))

    def started(self, process: JobProcess) -> None:
        job = process.job
        if not self.live:
            what = f"resuming at step {job.step}, " if job.go_on and job.run.config.exists() else ""
            self.say(f"{job.title}: {what}run directory: {path_from_here(job.run.path)}")

    def ended(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.number] = outcome
        self._note_score(job)
        if outcome.failed:
            with suppress(OSError):
                log = f"; log: {path_from_here(job.run.output)}" if job.run.output.exists() else ""
                (self.say if self.live else report)(f"{job.title}: {outcome.cause}{log}")
        elif not self.live:
            end = "finished" if outcome.finished else f"interrupted at step {job.step}"
            self.say(f"{job.title}: {end}{self._score_of(job)} ({self._standing()})")

    def look(self, running: Sequence[JobProcess]) -> None:
        self._running = running
        if self._live is not None and time.monotonic() - self._drawn_at >= REDRAW_EVERY_S:
            if time.monotonic() - self._scored_at >= SCORE_EVERY_S:
                for process in running:
                    self._note_score(process.job)
                self._scored_at = time.monotonic()
            self._try_to_show(self._live.refresh)
            self._drawn_at = time.monotonic()

    def _note_score(self, job: Job) -> None:
        if (found := best_of(job)) is None:
            return
        sign = 1 if found.lower else -1
        if self.best is None or sign * found.score < sign * self.best.score:
            self.best = found

    def _score_of(self, job: Job) -> str:
        found = best_of(job)
        return "" if found is None else f", {found.tag} {found.score:.4g}"

    def _counts(self) -> tuple[int, int, int, int]:
        """Of jobs that are done, running, failed, and waiting."""
        done = sum(outcome.finished for outcome in self.outcomes.values())
        failed = sum(outcome.failed for outcome in self.outcomes.values())
        return done, len(self._running), failed, len(self.jobs) - len(self.outcomes) - len(self._running)

    def _standing(self) -> str:
        done, _, failed, _ = self._counts()
        return f"{done} of {len(self.jobs)} done" + (f", {failed} failed" if failed else "")

    def _time_left(self) -> str:
        """By the timed steps, corrected by how long it has taken so far."""
        total = sum(seconds for seconds, _ in self._work.values())
        left = sum(seconds for number, (seconds, _) in self._work.items() if number not in self.outcomes)
        for process in self._running:
            seconds, steps = self._work[process.job.number]
            still = process.job.config["steps"] - process.job.step
            left -= seconds * min(1.0, max(0.0, 1 - still / max(1, steps)))
        done = total - left
        if done < ENOUGH * total:
            return time_left(round(left / self.plan.at_once), 1.0)
        return time_left(round((time.monotonic() - self._began) * left / done), 1.0)

    def _draw(self) -> RenderableType:
        done, running, failed, waiting = self._counts()
        width = self.console.width
        stopped = len(self.outcomes) - done - failed
        head = f"{done} done, {running} running, {failed} failed, {waiting} waiting"
        head += f", {stopped} stopped" * bool(stopped) + f"; {self._time_left()} left" * bool(running)
        parts: list[RenderableType] = [Text(shorten(f"sweep: {head}", width), style="bold")]
        if self.best is not None:
            parts.append(Text(shorten(f"best so far: {self.best}", width)))
        parts.append(self._running_table())
        if running > SHOWN:
            parts.append(Text(f"and {running - SHOWN} more", style="dim"))
        if running:
            parts.append(Text("Ctrl-C saves and stops", style="dim"))
        return Group(*parts)

    def _running_table(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(3):
            table.add_column(no_wrap=True)
        for process in self._running[:SHOWN]:
            job = process.job
            step, steps = job.step, job.config["steps"]
            bar = ProgressBar(total=steps, completed=step, width=max(8, min(30, self.console.width // 4)))
            label = Text(shorten(str(job), max(10, self.console.width // 2)))
            table.add_row(label, bar, f"{step}/{steps}")
        return table

    def _try_to_show(self, show: Callable[[], None]) -> None:
        """After an OSError, such as from a closed terminal, the sweep goes on and shows nothing more."""
        try:
            show()
        except OSError:
            self.console.quiet = True
            self._live = None
            self.live = False


def best_of(job: Job) -> Best | None:
    """The best evaluation during the training of the job's run, by the run's best_metric: the job's may be auto."""
    if not job.config.get("evaluate_every_steps") or not job.run.config.exists():
        return None
    for record in read_runs([job.run.path]):
        score = SCORES.get(str(record.configuration.get("best_metric")))
        if score is not None and record.best is not None:
            tag = score.tag(record.best.protocol.features)
            mean = record.best.scores[tag].mean
            return None if mean is None else Best(job, tag, mean, score.better == "lower", record.best.step)
    return None
