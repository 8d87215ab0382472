"""The loop: step, log, sample, checkpoint, stop."""

import signal
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gan_exp.augment import Adaptive
from gan_exp.config.schema import Config, ScheduleConfig
from gan_exp.data.packed import Batch, DataSpec, PackedImages, to_uint8
from gan_exp.diagnosis.diagnostics import Diagnostics
from gan_exp.diagnosis.divergence import Divergence, describe_divergence
from gan_exp.diagnosis.facts import facts_of
from gan_exp.diagnosis.finite import LARGEST, all_finite, broken_parts
from gan_exp.display.images import encode_png, image_grid, save_animation, scatter_plot
from gan_exp.display.live import Display
from gan_exp.display.verdicts import as_markdown
from gan_exp.evaluation.in_training import TrainingEvaluation
from gan_exp.models.sampling import generate_all
from gan_exp.runs.checkpoint import data_content, save_checkpoint, write_checkpoint
from gan_exp.runs.metrics_log import MetricsLog, read_metrics
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.tensorboard import TensorBoardLog
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import Abandoned, abandoning, asked_to_stop
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.build import build, build_batches, build_step_config
from gan_exp.training.gradient_norms import norms_wanted
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.state import TrainingState
from gan_exp.training.step import DiscriminatorReport, UpdateInputs

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
        self._failing: set[str] = set()  # what could not be written, and was told
        self.step_config = build_step_config(config)
        self.batches = build_batches(config, data)
        self.data = data
        self.device = device
        self.train_step, which = choose_step(config, state, self.step_config, device, display.say)
        display.say(which)
        display.compare_with(self.step_config.balance)
        # Only a game that needs them draws reals (or their labels) for G's step too.
        self.generator_needs_batch = self.step_config.loss.needs_reals or self.step_config.conditional
        self.streams = Streams(config.seed, device)
        self.schedules = {name: build(config, f"schedule.{name}") for name in ScheduleConfig.model_fields}
        self.penalty_every = config.penalty.get("every", 1)
        penalty = self.step_config.penalty
        penalty_name = None if penalty is None else type(penalty).__name__.lower()
        self.running_means = RunningMeans(device, penalty_name, getattr(self.step_config.loss, "boundary", 0.0))
        self.grid_latents, self.grid_labels = self._grid_inputs(data.spec)
        resumed_at = None
        if checkpoint is not None:
            self.running_means.load_state_dict(checkpoint["window"])
            resumed_at = state.step
        self.metrics_log = MetricsLog(run.metrics, resumed_at)
        self.diagnostics = Diagnostics(
            config, data, device, (checkpoint or {}).get("doctor"), read_metrics(run.metrics)
        )
        display.diagnose(self.diagnostics.verdicts)
        self.tensorboard: TensorBoardLog | None = None
        with self._best_effort("TensorBoard's events"):
            self.tensorboard = TensorBoardLog(run.tensorboard, resumed_at, self.step_config.balance)
        if resumed_at is None:
            self._introduce()
        self.metrics: dict[str, float] = {}
        self.evaluation: TrainingEvaluation | None = None
        if config.evaluate_every_steps:
            self.evaluation = TrainingEvaluation(config, data, device, display.say, checkpoint)
        self._evaluation_due = bool(checkpoint and checkpoint.get("evaluation_due"))
        self.seconds = 0.0  # in the loop, all of this process' looking and saving included, but no evaluation
        self._rate_mark = (time.perf_counter(), state.step)
        self._saved_step: int | None = resumed_at

    def _introduce(self) -> None:
        """What TensorBoard is told of a new run before its first step."""
        config_text = self.run.config.read_text(encoding="utf-8")
        add_text = partial(TensorBoardLog.add_text, tag="config", markdown=textwrap.indent(config_text, "    "), step=0)
        self._tell_tensorboard("layout", TensorBoardLog.add_layout)
        self._tell_tensorboard("configuration", add_text)
        self._tell_tensorboard("hyperparameters", lambda log: log.add_hyperparameters(self.config.model_dump()))
        self._tell_tensorboard("real images", self._add_real_images)

    def _add_real_images(self, log: TensorBoardLog) -> None:
        """As many as a grid of samples holds, of the same classes, to be seen beside it."""
        rng = Streams(self.config.seed).at(0, "grid/real")
        grid = self._grid(self.data.examples(len(self.grid_latents), rng, self.grid_labels))
        log.add_png("samples/real_images", encode_png(grid), grid.shape, 0)

    def train(self) -> signal.Signals | None:
        """Play until `config.steps` or a signal, which is returned; the last state is saved either way.

        Raises Divergence when the game is no longer finite.
        """
        began = time.perf_counter()
        self._rate_mark = (began, self.state.step)
        try:
            self.display.start(self.state.step)
            if self._saved_step is None:
                # In this order: what a run goes on from once there is a checkpoint, the grid of step 0 is a part of.
                self.sample()
                self.save()
            self.run.write_status("running", self.state.step, **self.status)
            if self.evaluation is not None and self._evaluation_due:
                self.evaluate(self.evaluation)
                self.save()
            self.play(until=self.config.steps)
            if self._saved_step != self.state.step:
                self.save()
        finally:
            self.seconds = time.perf_counter() - began - (self.evaluation.seconds if self.evaluation else 0.0)
            self.metrics_log.close()
            if self.tensorboard is not None:
                with self._best_effort("TensorBoard's events"):
                    self.tensorboard.close()
            self.display.stop()
        return asked_to_stop()

    def play(self, until: int) -> None:
        """The loop, up to and with step `until`, or until a signal."""
        config, state = self.config, self.state
        while state.step < until and asked_to_stop() is None:
            report = self._train_step()
            step = self.display.step = state.step
            last = step == config.steps
            if step % config.log_every_steps == 0 or last:
                self.log()
            if step % config.sample_every_steps == 0 or last:
                self.sample(report)
            if self.evaluation is not None and (step % config.evaluate_every_steps == 0 or last):
                self.evaluate(self.evaluation)
            if step % config.checkpoint_every_steps == 0 or last:
                self.save()

    def _train_step(self) -> DiscriminatorReport:
        config, state, step = self.config, self.state, self.state.step
        factors = {name: 1.0 if f is None else f(step / config.steps) for name, f in self.schedules.items()}
        state.scale_optimizers(factors["lr"], factors["beta2"])
        if config.schedule.augment is not None:
            state.augment.scale_p(factors["augment"])  # type: ignore[union-attr, operator]  # checked with the config
        every = None if self.step_config.penalty is None else self.penalty_every
        logged = (step + 1) % config.log_every_steps == 0 or step + 1 == config.steps
        measured = logged or norms_wanted(step, config.n_critic, every)
        turns = [
            self._discriminator_inputs(k, factors["penalty"])._replace(measured=measured)
            for k in range(config.n_critic)
        ]
        report = self.train_step(turns, self._generator_inputs()._replace(measured=measured))
        self.running_means.add(report)
        halflife_images = config.ema_halflife_kimg * 1000 * factors["ema"]
        state.update_ema(halflife_images, config.batch_size, config.ema_ramp_up)
        return report.discriminator[-1]

    def _discriminator_inputs(self, k: int, penalty_factor: float) -> UpdateInputs:
        step, n_critic = self.state.step, self.config.n_critic
        update, stream = step * n_critic + k, f"discriminator/{k}"
        batch = self._to_device(self.batches.draw(update + step * self.generator_needs_batch))
        weight = penalty_factor * self.penalty_every if update % self.penalty_every == 0 else 0.0
        return UpdateInputs(self._latents(stream), batch, self._rng_for(stream), weight)

    def _generator_inputs(self) -> UpdateInputs:
        batch = None
        if self.generator_needs_batch:
            number = (self.state.step + 1) * (self.config.n_critic + 1) - 1
            batch = self._to_device(self.batches.draw(number))
        return UpdateInputs(self._latents("generator"), batch, self._rng_for("generator"))

    def _rng_for(self, stream: str) -> Callable[[str], torch.Generator]:
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
        broken_steps = self.running_means.broken_steps
        metrics = self.running_means.read()
        metrics["learning_rate/discriminator"] = state.discriminator_optimizer.param_groups[0]["lr"]
        metrics["learning_rate/generator"] = state.generator_optimizer.param_groups[0]["lr"]
        if isinstance(state.augment, Adaptive) or self.config.schedule.augment is not None:
            metrics["augment/p"] = state.augment.p.item()  # type: ignore[union-attr, operator]
        metrics["progress/kimg"] = state.images_seen / 1000
        now = time.perf_counter()
        mark, marked_step = self._rate_mark
        images = (step - marked_step) * self.config.batch_size * self.config.n_critic
        metrics["progress/images_per_sec"] = images / max(now - mark, 1e-9)
        self._rate_mark = (now, step)
        broken = [tag for tag, value in metrics.items() if not abs(value) <= LARGEST]
        if broken:
            raise self._divergence(f"{broken[0]} is {metrics[broken[0]]:.3g}", broken_steps)
        if broken_steps:  # of the mean over many steps it does not show
            raise self._divergence(f"a loss or a gradient is beyond {LARGEST:.2g}", broken_steps)
        self.metrics = metrics
        self._record(metrics)
        self.display.update(step, metrics)
        self.run.write_status("running", step, **self.status)

    @property
    def status(self) -> dict[str, Any]:
        """What status.json says beside the step."""
        return {"metrics": self.metrics, "doctor": [verdict.plain() for verdict in self.diagnostics.verdicts]}

    def _record(self, values: Mapping[str, float]) -> None:
        """To the log and TensorBoard, and to the doctor, whose verdict is told where it changes."""
        step = self.state.step
        self.metrics_log.add(step, values)
        self._tell_tensorboard("scalars", lambda log: log.add_scalars(values, step))
        is_new = False
        with self._best_effort("the doctor's verdict"):
            is_new = self.diagnostics.note(step, values)
        if is_new:
            verdicts = self.diagnostics.verdicts
            self.display.diagnose(verdicts, step)
            self._tell_tensorboard("verdicts", lambda log: log.add_text("doctor", as_markdown(verdicts), step))
            self.run.write_status("running", step, **self.status)

    @torch.no_grad()
    def sample(self, report: DiscriminatorReport | None = None) -> None:
        """The grid of the fixed latents, and what D says of the last batch."""
        self._refuse_divergence(*([] if report is None else [report.real_logits, report.fake_logits]))
        step = self.state.step
        images = generate_all(self.state.generator_ema, self.grid_latents, self.grid_labels)
        images = to_uint8(images) if self.data.extent is None else images
        grid = self._grid(images)
        png = encode_png(grid)
        with self._best_effort("the grid of samples"):
            write_atomically(self.run.sample_grid(step), png)
        self._tell_tensorboard("grids", lambda log: log.add_png("samples", png, grid.shape, step))
        evidence: dict[str, float] = {}
        with self._best_effort("what the doctor looks at"):
            evidence = self.diagnostics.gather(self.state)
        if evidence:
            self._record(evidence)
        if report is not None:
            for tag, logits in (("logits/real", report.real_logits), ("logits/fake", report.fake_logits)):
                self._tell_tensorboard(tag, partial(TensorBoardLog.add_histogram, tag=tag, values=logits, step=step))
        with self._best_effort("the preview"):  # of points, the plot itself is what the terminal shows
            self.display.preview(images if self.data.extent is None else grid.unsqueeze(0))

    def _grid(self, images: Tensor) -> Tensor:
        """One picture uint8 [C, H, W] of images uint8, or of points."""
        if self.data.extent is not None:
            return scatter_plot(images, self.data.extent)
        return image_grid(images, self.config.grid_rows, self.config.grid_columns)

    def evaluate(self, evaluation: TrainingEvaluation) -> None:
        """Scores of the averaged generator, and the checkpoint of the best ones; none of it is training time.

        A signal cuts it short: it comes first when the run goes on.
        """
        self._refuse_divergence()
        step, before = self.state.step, evaluation.seconds
        self._evaluation_due = True
        try:
            with abandoning():
                measured = evaluation.measure(self.state.generator_ema)
        except Abandoned:
            return
        self._evaluation_due = False
        spent = evaluation.seconds - before
        scores, is_best = evaluation.record(measured, step, spent)
        self._record(scores)
        if is_best:
            write_checkpoint(self.run.best, self._content())
        mark, marked_step = self._rate_mark
        self._rate_mark = (mark + spent, marked_step)
        self.display.leave_out(spent)

    def save(self) -> None:
        """The checkpoint of this step; what was logged until then is on the disk before it."""
        self._refuse_divergence()
        self.metrics_log.sync()
        self._tell_tensorboard("sync", TensorBoardLog.sync)
        save_checkpoint(self.run, self.state.step, self._content(), self.config.keep_checkpoints)
        self._saved_step = self.state.step

    def _content(self) -> dict[str, Any]:
        """All that a run goes on from."""
        return {
            **self.state.state_dict(),
            "window": self.running_means.state_dict(),
            "doctor": self.diagnostics.state_dict(),
            "best": None if self.evaluation is None else self.evaluation.best,
            "evaluation_due": self._evaluation_due,
            "config": self.config.model_dump(mode="json"),
            "threads": torch.get_num_threads(),
            **data_content(self.data),
        }

    def animate(self) -> None:
        """All grids of the run, one after the other."""
        grids = [path for _, path in self.run.list_sample_grids()]
        if grids:
            with self._best_effort("the animation"):
                save_animation(grids, self.run.animation)

    @contextmanager
    def _best_effort(self, what: str, disk: str | None = None) -> Iterator[None]:
        """Training goes on without `what` where it fails, told once; `disk` where the disk is to blame."""
        try:
            yield
        except Exception as error:  # whatever it is, the run matters more
            what = disk if disk is not None and isinstance(error, OSError) else what
            if what not in self._failing:
                self.display.say(f"warning: {what} can't be written any more ({error}); training goes on without")
            self._failing.add(what)

    def _tell_tensorboard(self, what: str, add: Callable[[TensorBoardLog], None]) -> None:
        """Each part on its own: what can't be drawn leaves the others alone."""
        if self.tensorboard is not None:
            with self._best_effort(f"TensorBoard's {what}", disk="TensorBoard's events"):
                add(self.tensorboard)

    def _refuse_divergence(self, *tensors: Tensor) -> None:
        """Nothing that is no longer finite, or absurdly large, gets into a checkpoint, a grid or a histogram."""
        broken_steps = self.running_means.broken_steps
        if not all_finite(self.state.networks, *tensors):
            raise self._divergence("the networks are no longer finite", broken_steps)
        if broken_steps:
            raise self._divergence(f"a loss or a gradient is beyond {LARGEST:.2g}", broken_steps)

    def _divergence(self, sign: str, broken_steps: int) -> Divergence:
        kept = self.run.list_checkpoints()
        return describe_divergence(
            step=self.state.step - max(broken_steps - 1, 0),
            sign=sign,
            broken=broken_parts(self.state.networks),
            last_good=kept[-1][0] if kept else None,
            facts=facts_of(self.config.model_dump()),
            metrics=self.metrics,
        )
