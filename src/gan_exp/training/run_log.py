"""The records of a training run, numbers and pictures: metrics.jsonl, TensorBoard, status.json and the terminal.

metrics.jsonl and status.json are promised. The rest is best effort: if it fails, a warning says so once and training
continues without it.

All that is written in the course of the run goes through one `Writer`, so that its order is the same whether a thread
writes it or not. The methods with an underscore that it calls touch nothing that the training loop does.
"""

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from gan_exp.data.packed import PackedImages
from gan_exp.data.reading import data_lines, describe_data
from gan_exp.diagnosis.diagnostics import Diagnostics, Sight
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.images import encode_png, save_animation
from gan_exp.display.live import Display
from gan_exp.display.verdicts import as_markdown
from gan_exp.losses import Balance
from gan_exp.runs.background import Writer
from gan_exp.runs.checkpoint import save_checkpoint, write_checkpoint
from gan_exp.runs.metrics_log import MetricsLog
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.tensorboard import TensorBoardLog
from gan_exp.runtime.files import json_text, write_atomically
from gan_exp.training.grid import Grid, SampleGrid
from gan_exp.training.state import TrainingState, share_equal
from gan_exp.training.step_types import DiscriminatorReport


class _Seen(NamedTuple):
    """What a grid of samples is made of, on the device."""

    images: Tensor
    sight: Sight | None
    logits: dict[str, Tensor]  # D's on the last batch, by tag


class RunLog:
    """`resumed_at` hides from TensorBoard what a stopped process wrote of later steps; None for a new run."""

    def __init__(
        self,
        run: RunDir,
        metrics_log: MetricsLog,
        display: Display,
        diagnostics: Diagnostics,
        grid: SampleGrid,
        balance: Balance,
        resumed_at: int | None,
        processes: int = 1,
        writer: Writer | None = None,
    ) -> None:
        self._writer = writer or Writer()
        self.run, self.display, self.diagnostics, self._grid = run, display, diagnostics, grid
        self._processes = processes
        self.metrics: dict[str, float] = {}  # those of the latest log
        self._failing: set[str] = set()  # what could not be written, and was warned of
        self._metrics_log = metrics_log
        self._seconds = run.trained_seconds()  # of training, by earlier processes and up to `_since`
        self._since: float | None = None  # the loop runs
        display.show_verdicts(diagnostics.verdicts)
        self._tensorboard: TensorBoardLog | None = None
        with self.best_effort("TensorBoard's events"):
            self._tensorboard = TensorBoardLog(run.tensorboard, resumed_at, balance)

    def introduce(self, config: dict[str, Any], data: PackedImages) -> None:
        """Write what is known of a new run before its first step: the data, in files and for TensorBoard."""
        facts = describe_data(data)
        picture = self._grid.of_data(data)
        png = encode_png(picture)
        with self.best_effort("what was read"):
            write_atomically(self.run.data, json_text(facts, indent=2) + "\n", durable=False)
            write_atomically(self.run.real_images, png, durable=False)
        texts = {
            "config": textwrap.indent(self.run.config.read_text(encoding="utf-8"), "    "),
            "data": "\n".join(f"- {line}" for line in data_lines(facts)),
        }
        self._to_tensorboard("layout", TensorBoardLog.add_layout)
        for tag, markdown in texts.items():
            self._to_tensorboard(tag, partial(TensorBoardLog.add_text, tag=tag, markdown=markdown, step=0))
        self._to_tensorboard("hyperparameters", lambda log: log.add_hyperparameters(config))
        self._to_tensorboard("real images", lambda log: log.add_png("samples/real_images", png, picture.shape, 0))

    @property
    def status(self) -> dict[str, Any]:
        """What status.json says beside the step, when all is written."""
        return self._status(self.metrics)

    def _status(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        verdicts = [verdict.plain() for verdict in self.verdicts]
        seconds = round(self.seconds, 3)
        return {"processes": self._processes, "metrics": metrics, "doctor": verdicts, "train_seconds": seconds}

    @property
    def seconds(self) -> float:
        """In the loop, of all processes that have trained the run; evaluations are no training."""
        return self._seconds + (0.0 if self._since is None else time.perf_counter() - self._since)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self.diagnostics.verdicts

    def start(self, step: int) -> None:
        """The loop begins."""
        self._since = time.perf_counter()
        self.display.start(step)

    def at(self, step: int) -> None:
        """After each step."""
        self.display.step = step

    def exclude_time(self, seconds: float) -> None:
        """They were no training."""
        self._seconds -= seconds
        self.display.exclude_time(seconds)

    def write_status(self, step: int) -> None:
        self._writer.do(partial(self._write_status, step), self.metrics)

    def _write_status(self, step: int, metrics: Mapping[str, float]) -> None:
        self.run.write_status("running", step, **self._status(metrics))

    def progress(self, step: int, metrics: dict[str, float]) -> None:
        """The running means of the steps since the last call."""
        self.metrics = metrics
        self.scalars(step, metrics)
        self._writer.do(partial(self.display.update, step), metrics)
        self.write_status(step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """To metrics.jsonl, TensorBoard and the diagnostics, whose verdicts are shown when they change."""
        self._writer.do(partial(self._write_scalars, step, self.metrics), values)

    def _write_scalars(self, step: int, metrics: Mapping[str, float], values: Mapping[str, float]) -> None:
        self._metrics_log.add(step, values)
        self._to_tensorboard("scalars", lambda log: log.add_scalars(values, step))
        is_new = False
        with self.best_effort("the doctor's verdict"):
            is_new = self.diagnostics.note(step, values)
        if is_new:
            verdicts = self.verdicts
            self.display.show_verdicts(verdicts, step)
            self._to_tensorboard("verdicts", lambda log: log.add_text("doctor", as_markdown(verdicts), step))
            self._write_status(step, metrics)

    def sample(self, step: int, state: TrainingState, report: DiscriminatorReport | None) -> None:
        """The grid of the fixed latents, the doctor's evidence, and D's logits on the last batch."""
        images, sight = self._grid.of_generator(state.generator_ema), None
        with self.best_effort("the doctor's evidence"):
            sight = self.diagnostics.look(state.generator_ema, state.discriminator)
        logits = {} if report is None else {"logits/real": report.real_logits, "logits/fake": report.fake_logits}
        self._writer.do(partial(self._write_sample, step, self.metrics), _Seen(images, sight, logits))

    def _write_sample(self, step: int, metrics: Mapping[str, float], seen: _Seen) -> None:
        grid = self._grid.drawn(seen.images)
        self._write_grid(step, grid)
        evidence: dict[str, float] = {}
        with self.best_effort("the doctor's evidence"):
            evidence = {} if seen.sight is None else self.diagnostics.compare(seen.sight)
        if evidence:
            self._write_scalars(step, metrics, evidence)
        for tag, values in seen.logits.items():
            self._histogram(step, tag, values)
        with self.best_effort("the preview"):
            self.display.set_preview(grid.preview)

    def _write_grid(self, step: int, grid: Grid) -> None:
        png = encode_png(grid.picture)
        with self.best_effort("the grid of samples"):
            write_atomically(self.run.sample_grid(step), png)
        self._to_tensorboard("grids", lambda log: log.add_png("samples", png, grid.picture.shape, step))

    def _histogram(self, step: int, tag: str, values: Tensor) -> None:
        self._to_tensorboard(tag, partial(TensorBoardLog.add_histogram, tag=tag, values=values, step=step))

    def animate(self) -> None:
        """Write all grids of the run, one after the other, as a GIF."""
        grids = [path for _, path in self.run.list_sample_grids()]
        if grids:
            with self.best_effort("the animation"):
                save_animation(grids, self.run.animation)

    def save(self, step: int, content: Callable[[], dict[str, Any]], keep: int) -> None:
        """Write the checkpoint of this step; what was logged until then is on the disk before it."""
        self._writer.do(partial(self._write_checkpoint, step, keep), content(), large=True)

    def _write_checkpoint(self, step: int, keep: int, content: dict[str, Any]) -> None:
        self._metrics_log.sync()
        self._to_tensorboard("sync", TensorBoardLog.sync)
        save_checkpoint(self.run, step, self._complete(content), keep)

    def save_best(self, content: Callable[[], dict[str, Any]]) -> None:
        self._writer.do(self._write_best, content(), large=True)

    def _write_best(self, content: dict[str, Any]) -> None:
        write_checkpoint(self.run.best, self._complete(content))

    def finish_writing(self) -> None:
        """Until all is on the disk. Raises OSError if what is promised could not be written."""
        self._writer.wait()

    def _complete(self, content: dict[str, Any]) -> dict[str, Any]:
        """With the doctor's evidence of the latest grid, whose job was before this one."""
        if self._writer.beside and "generator_ema" in content:
            share_equal(content["generator_ema"], content["generator"])
        return {**content, "doctor": self.diagnostics.state_dict()}

    @property
    def saved_step(self) -> int | None:
        """That of the newest checkpoint."""
        self._writer.join()
        kept = self.run.list_checkpoints()
        return kept[-1][0] if kept else None

    def close(self) -> None:
        self._seconds, self._since = self.seconds, None
        self._writer.join()
        self._metrics_log.close()
        if self._tensorboard is not None:
            with self.best_effort("TensorBoard's events"):
                self._tensorboard.close()
        self.display.stop()

    @contextmanager
    def best_effort(self, what: str, disk: str | None = None) -> Iterator[None]:
        """Training continues without `what` if it fails, with one warning; it names `disk` if the disk is to blame."""
        try:
            yield
        except Exception as error:  # whatever it is, the run matters more
            what = disk if disk is not None and isinstance(error, OSError) else what
            if what not in self._failing:
                self.display.say(f"warning: {what} can't be written any more ({error}); training continues without it")
            self._failing.add(what)

    def _to_tensorboard(self, what: str, add: Callable[[TensorBoardLog], None]) -> None:
        """Each part on its own: one that can't be drawn leaves the others alone."""
        if self._tensorboard is not None:
            with self.best_effort(f"TensorBoard's {what}", disk="TensorBoard's events"):
                add(self._tensorboard)
