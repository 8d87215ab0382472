"""The loop: step, log, sample, checkpoint, stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from gan_exp.augment import ADA
from gan_exp.build import build, build_batches, build_rules
from gan_exp.checkpoint import data_content, save_checkpoint
from gan_exp.config import Config, ScheduleConfig
from gan_exp.data.packed import Batch, DataSpec, PackedImages, to_uint8
from gan_exp.errors import TrainingFault
from gan_exp.monitor.display import Display
from gan_exp.monitor.images import encode_png, image_grid, save_animation, scatter_plot
from gan_exp.monitor.metrics_log import MetricsLog
from gan_exp.monitor.tensorboard import TensorBoardLog
from gan_exp.monitor.window import Window, gradient_norm
from gan_exp.run_dir import RunDir, write_atomically
from gan_exp.state import TrainingState
from gan_exp.step import DiscriminatorReport, discriminator_step, generate_all, generator_step
from gan_exp.streams import Streams

SCATTER_POINTS = 2500  # as many as the published protocols draw for an evaluation


class Trainer:
    """One run, from the state it is given to `config.steps`.

    `checkpoint` is the content that `state` was loaded from, None for a new run.
    """

    def __init__(
        self,
        config: Config,
        run: RunDir,
        state: TrainingState,
        data: PackedImages,
        device: torch.device,
        display: Display,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        self.config, self.run, self.state, self.display = config, run, state, display
        self.rules = build_rules(config)
        self.batches = build_batches(config, data)
        self.spec = data.spec
        self.device = device
        # Only a game that needs them draws reals (or their labels) for G's step too.
        self.generator_needs_batch = self.rules.loss.needs_reals or self.rules.conditional
        self.streams = Streams(config.seed, device)
        self.schedules = {name: build(config, f"schedule.{name}") for name in ScheduleConfig.model_fields}
        self.penalty_every = config.penalty.get("every", 1)
        penalty = self.rules.penalty
        penalty_name = None if penalty is None else type(penalty).__name__.lower()
        self.window = Window(device, penalty_name, getattr(self.rules.loss, "boundary", 0.0))
        self.grid_latents, self.grid_labels = self._grid_inputs(data.spec)
        resumed_at = None
        if checkpoint is not None:
            self.window.load_state_dict(checkpoint["window"])
            resumed_at = state.step
        self.metrics_log = MetricsLog(run.metrics, resumed_at)
        self.tensorboard = TensorBoardLog(
            run.tensorboard, config.model_dump(), run.config.read_text(encoding="utf-8"), resumed_at
        )
        self.metrics: dict[str, float] = {}
        self.seconds = 0.0  # in the loop, all of this process' looking and saving included
        self._rate_mark = (time.perf_counter(), state.step)
        self._saved_step: int | None = resumed_at
        self._stop: signal.Signals | None = None

    def train(self) -> signal.Signals | None:
        """Play until `config.steps` or a signal, which is returned; the last state is saved either way.

        Raises TrainingFault when a loss is no longer finite.
        """
        began = time.perf_counter()
        self._rate_mark = (began, self.state.step)
        self.run.write_status("running", self.state.step)
        self.display.start(self.state.step)
        try:
            with self._catching_signals():
                if self.state.step == 0 and not self.run.sample_grid(0).exists():
                    self.sample()
                self.play(until=self.config.steps)
                if self._saved_step != self.state.step:
                    self.save()
        finally:
            self.seconds = time.perf_counter() - began
            self.metrics_log.close()
            self.tensorboard.close()
            self.display.stop()
        return self._stop

    def play(self, until: int) -> None:
        """The loop, up to and with step `until`, or until a signal."""
        config, state = self.config, self.state
        while state.step < until and self._stop is None:
            report = self._play_step()
            step = self.display.step = state.step
            last = step == config.steps
            if step % config.log_every_steps == 0 or last:
                self.log()
            if step % config.sample_every_steps == 0 or last:
                self.sample(report)
            if step % config.checkpoint_every_steps == 0 or last:
                self.save()

    def _play_step(self) -> DiscriminatorReport:
        config, state, step = self.config, self.state, self.state.step
        factors = {name: 1.0 if f is None else f(step / config.steps) for name, f in self.schedules.items()}
        state.scale_optimizers(factors["lr"], factors["beta2"])
        for k in range(config.n_critic):
            update = step * config.n_critic + k
            stream = f"discriminator/{k}"
            batch = self._to_device(self.batches.draw(update + step * self.generator_needs_batch))
            weight = factors["penalty"] * self.penalty_every if update % self.penalty_every == 0 else 0.0
            report = discriminator_step(state, self.rules, batch, self._latents(stream), self._draw(stream), weight)
            self.window.add_discriminator(report)
            if isinstance(state.augment, ADA):
                state.augment.observe(report.real_logits, config.batch_size, update)
        generator_batch = None
        if self.generator_needs_batch:
            generator_batch = self._to_device(self.batches.draw((step + 1) * (config.n_critic + 1) - 1))
        latents = self._latents("generator")
        self.window.add_generator(generator_step(state, self.rules, latents, self._draw("generator"), generator_batch))
        state.step += 1
        state.update_ema(config.ema_halflife_kimg * 1000 * factors["ema"], config.batch_size)
        return report

    def _draw(self, stream: str) -> Callable[[str], torch.Generator]:
        """The random numbers of this step for a purpose within `stream`."""
        step = self.state.step
        return lambda purpose: self.streams.at(step, f"{stream}/{purpose}")

    def _grid_inputs(self, spec: DataSpec) -> tuple[Tensor, Tensor | None]:
        """Latents that stay the same; for a conditional game a class to each row, beginning anew after the last."""
        config = self.config
        count = SCATTER_POINTS if spec.extent is not None else config.grid_rows * config.grid_columns
        latents = Streams(config.seed).latents(0, "grid", count, config.latent_dim).to(self.device)
        if not config.conditional:
            return latents, None
        return latents, (torch.arange(count, device=self.device) // config.grid_columns) % spec.num_classes

    def _latents(self, stream: str) -> Tensor:
        return self.streams.latents(self.state.step, stream, self.config.batch_size, self.config.latent_dim)

    def _to_device(self, batch: Batch) -> Batch:
        if batch.images.device == self.device:
            return batch
        labels = None if batch.labels is None else batch.labels.to(self.device)
        return batch._replace(images=batch.images.to(self.device), labels=labels)

    def log(self) -> None:
        """Read the window and tell everyone."""
        step, state = self.state.step, self.state
        metrics = self.window.read()
        metrics["gradient_norm/discriminator"] = gradient_norm(state.discriminator)
        metrics["gradient_norm/generator"] = gradient_norm(state.generator)
        metrics["learning_rate/discriminator"] = state.discriminator_optimizer.param_groups[0]["lr"]
        metrics["learning_rate/generator"] = state.generator_optimizer.param_groups[0]["lr"]
        if isinstance(state.augment, ADA):
            metrics["augment/p"] = state.augment.p.item()
        metrics["progress/kimg"] = state.images_seen / 1000
        now = time.perf_counter()
        mark, marked_step = self._rate_mark
        images = (step - marked_step) * self.config.batch_size * self.config.n_critic
        metrics["progress/images_per_sec"] = images / max(now - mark, 1e-9)
        self._rate_mark = (now, step)
        broken = [tag for tag, value in metrics.items() if not abs(value) < float("inf")]
        if broken:
            raise self._divergence(f"{broken[0]} is {metrics[broken[0]]}")
        self.metrics = metrics
        self.metrics_log.add(step, metrics)
        self.tensorboard.add_scalars(metrics, step)
        self.display.update(step, metrics)
        self.run.write_status("running", step, metrics=metrics)

    @torch.no_grad()
    def sample(self, report: DiscriminatorReport | None = None) -> None:
        """The grid of the fixed latents, and what D says of the last batch."""
        self._refuse_divergence(*([] if report is None else [report.real_logits, report.fake_logits]))
        step = self.state.step
        images = generate_all(self.state.generator_ema, self.grid_latents, self.grid_labels)
        if self.spec.extent is not None:
            grid = scatter_plot(images, self.spec.extent)
            images = grid.unsqueeze(0)  # the plot itself is what the terminal shows
        else:
            images = to_uint8(images)
            grid = image_grid(images, self.config.grid_rows, self.config.grid_columns)
        png = encode_png(grid)
        write_atomically(self.run.sample_grid(step), png)
        channels, height, width = grid.shape
        self.tensorboard.add_png("samples", png, (height, width), channels, step)
        if report is not None:
            self.tensorboard.add_logits(report.real_logits, report.fake_logits, step)
        self.display.preview(images)

    def save(self) -> None:
        """The checkpoint of this step; what was logged until then reaches the disk with it."""
        self._refuse_divergence()
        self.tensorboard.flush()
        content = {
            **self.state.state_dict(),
            "window": self.window.state_dict(),
            **data_content(self.spec),
        }
        save_checkpoint(self.run, self.state.step, content, self.config.keep_checkpoints)
        self._saved_step = self.state.step

    def animate(self) -> None:
        """All grids of the run, one after the other."""
        grids = [path for _, path in self.run.list_sample_grids()]
        if grids:
            save_animation(grids, self.run.animation)

    def _refuse_divergence(self, *tensors: Tensor) -> None:
        """Nothing that is no longer finite gets into a checkpoint, a grid or a histogram."""
        networks = (self.state.generator, self.state.discriminator)
        values = [*tensors, *(value for network in networks for value in network.state_dict().values())]
        if not torch.stack([value.isfinite().all() for value in values]).all():
            raise self._divergence("the networks are no longer finite")

    def _divergence(self, sign: str) -> TrainingFault:
        kept = self.run.list_checkpoints()
        last = f"the last checkpoint (step {kept[-1][0]}) is from before it" if kept else "there is no checkpoint yet"
        return TrainingFault(
            f"step {self.state.step}: {sign}, the game has diverged; {last}. "
            f"Try a smaller lr, or a penalty (penalty=r1)"
        )

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the loop after the step at hand; a second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _: FrameType | None) -> None:
            self._stop = signal.Signals(number)
            signal.signal(number, before[self._stop])
            self.display.say(f"{self._stop.name}: saving after this step (once more to leave at once)")

        before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
