"""The loop: step, log, sample, evaluate, checkpoint, stop."""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_exp.diagnosis.divergence import Divergence, describe_divergence
from gan_exp.diagnosis.finite import LARGEST, all_finite, broken_parts
from gan_exp.diagnosis.settings import RunSettings
from gan_exp.errors import TrainingFault
from gan_exp.evaluation.in_training import EvaluationHelp, TrainingEvaluation
from gan_exp.runtime.device import full_float32
from gan_exp.runtime.heap import returning_freed_memory
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import Abandoned, abandoning, asked_to_stop
from gan_exp.training.gradient_norms import norms_wanted
from gan_exp.training.inputs import InputSource
from gan_exp.training.run_log import RunLog
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.silent_log import SilentLog
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import DiscriminatorReport, StepFn

Schedule = Callable[[float], float]  # progress in [0, 1] -> a factor


@dataclass(frozen=True)
class Plan:
    """How long a run trains, and after how many steps it logs, samples, evaluates and saves."""

    steps: int
    batch_size: int
    n_critic: int
    penalty_every: int | None  # None without a penalty
    ema_halflife_kimg: float
    ema_ramp_up: float | None
    log_every_steps: int
    sample_every_steps: int
    evaluate_every_steps: int
    checkpoint_every_steps: int
    keep_checkpoints: int


class Trainer:
    """One run, from the state it is given to `plan.steps`.

    `schedules` are those of `lr`, `beta2`, `penalty`, `augment` and `ema`, None if the value stays as it is.
    `evaluation` is None if the run has none. `settings` are for the sentence about a divergence. `description` goes
    into every checkpoint: the configuration, the data and the threads. `checkpoint` is the content that `state` was
    loaded from, None for a new run.

    Each of several `ranks` has one and takes the same steps; the first alone has a log that writes, and
    leads the evaluations.
    """

    def __init__(
        self,
        plan: Plan,
        state: TrainingState,
        step_fn: StepFn,
        inputs: InputSource,
        schedules: Mapping[str, Schedule | None],
        running_means: RunningMeans,
        log: RunLog | SilentLog,
        evaluation: TrainingEvaluation | EvaluationHelp | None,
        settings: RunSettings,
        description: Mapping[str, Any],
        checkpoint: Mapping[str, Any] | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.plan, self.state, self.step_fn, self.inputs = plan, state, step_fn, inputs
        self.schedules, self.running_means, self.log, self.ranks = schedules, running_means, log, ranks
        self.evaluation, self._run_settings, self._description = evaluation, settings, description
        self._signal = 0  # the number of the one that stops all ranks at this step
        self._evaluation_due = bool(checkpoint and checkpoint.get("evaluation_due"))
        self.seconds = 0.0  # in the loop, logging and saving in this process included, but no evaluation
        self._rate_mark = (time.perf_counter(), state.step)
        self._saved_step = None if checkpoint is None else state.step

    def train(self) -> signal.Signals | None:
        """Train until `plan.steps` or a signal, which is returned; the last state is saved either way.

        Raises Divergence when losses, gradients or weights are no longer finite.
        """
        began = time.perf_counter()
        self._rate_mark = (began, self.state.step)
        try:
            self.log.start(self.state.step)
            if self._saved_step is None:
                # In this order: a run with a checkpoint also has the grid of step 0.
                self.sample()
                self.save()
            self.log.write_status(self.state.step)
            if self._evaluation_due and self.plan.evaluate_every_steps:
                self.evaluate()
                self.save()
            self.train_until(self.plan.steps)
            if self._saved_step != self.state.step:
                self.save()
            self.log.finish_writing()
        finally:
            self.seconds = time.perf_counter() - began - (self.evaluation.seconds if self.evaluation else 0.0)
            self.log.close()
        self._signal = self.ranks.largest(self._signal or asked_to_stop() or 0)
        return signal.Signals(self._signal) if self._signal else None

    def _asked_to_stop(self) -> bool:
        """Whether a signal has reached any of the ranks; they learn of it at the same step."""
        self._signal = self.ranks.agree(asked_to_stop() or 0)
        return self._signal != 0

    def train_until(self, last_step: int) -> None:
        """The loop, up to and with step `last_step`, or until a signal."""
        plan, state = self.plan, self.state
        while state.step < last_step and not self._asked_to_stop():
            report = self._train_step()
            step = state.step
            self.log.at(step)
            last = step == plan.steps
            if step % plan.log_every_steps == 0 or last:
                self.log_progress()
            if step % plan.sample_every_steps == 0 or last:
                self.sample(report)
            if plan.evaluate_every_steps and (step % plan.evaluate_every_steps == 0 or last):
                self.evaluate()
            if step % plan.checkpoint_every_steps == 0 or last:
                self.save()

    def _train_step(self) -> DiscriminatorReport:
        plan, state, step = self.plan, self.state, self.state.step
        factors = {name: 1.0 if f is None else f(step / plan.steps) for name, f in self.schedules.items()}
        state.scale_optimizers(factors["lr"], factors["beta2"])
        if self.schedules["augment"] is not None:
            state.augment.scale_p(factors["augment"])  # type: ignore[union-attr, operator]  # checked with the config
        logged = (step + 1) % plan.log_every_steps == 0 or step + 1 == plan.steps
        measured = logged or norms_wanted(step, plan.n_critic, plan.penalty_every)
        discriminator_inputs = self.inputs.discriminator(step, factors["penalty"], measured)
        report = self.step_fn(discriminator_inputs, self.inputs.generator(step, measured))
        self.running_means.add(report)
        state.update_ema(plan.ema_halflife_kimg * 1000 * factors["ema"], plan.batch_size, plan.ema_ramp_up)
        return report.discriminator[-1]

    def log_progress(self) -> None:
        """Read the running means and write them everywhere."""
        step = self.state.step
        broken_steps = self.running_means.broken_steps
        metrics = {**self.running_means.read(), **self._settings(), **self._progress()}
        broken = [tag for tag, value in metrics.items() if not abs(value) <= LARGEST]
        if broken:
            raise self._divergence(f"{broken[0]} is {metrics[broken[0]]:.3g}", broken_steps)
        if broken_steps:  # of the mean over many steps it does not show
            raise self._divergence(f"a loss or a gradient is beyond {LARGEST:.2g}", broken_steps)
        self.log.progress(step, metrics)

    def _settings(self) -> dict[str, float]:
        """What schedules and adaptive augmentation have changed."""
        state = self.state
        found = {
            "learning_rate/discriminator": state.discriminator_optimizer.param_groups[0]["lr"],
            "learning_rate/generator": state.generator_optimizer.param_groups[0]["lr"],
        }
        if state.adaptive is not None or self.schedules["augment"] is not None:
            found["augment/p"] = state.augment.p.item()  # type: ignore[union-attr, operator]
        return found

    def _progress(self) -> dict[str, float]:
        """How far the run is, and how fast it was since the last call."""
        now, (mark, marked_step) = time.perf_counter(), self._rate_mark
        self._rate_mark = (now, self.state.step)
        images = (self.state.step - marked_step) * self.plan.batch_size * self.plan.n_critic
        return {
            "progress/kimg": self.state.images_seen / 1000,
            "progress/images_per_sec": images / max(now - mark, 1e-9),
        }

    @torch.no_grad()
    @full_float32()
    def sample(self, report: DiscriminatorReport | None = None) -> None:
        """Draw the grid of the fixed latents, its diagnostics, and D's logits on the last batch."""
        self._refuse_divergence(*([] if report is None else [report.real_logits, report.fake_logits]))
        with returning_freed_memory():
            self.log.sample(self.state.step, self.state, report)

    @full_float32()
    def evaluate(self) -> None:
        """Score the averaged generator, and save the checkpoint of the best scores; none of it is training time.

        A signal cuts it short: a resumed run begins with it.
        """
        self._refuse_divergence()
        evaluation = self.evaluation
        assert evaluation is not None
        step, before = self.state.step, evaluation.seconds
        self._evaluation_due = True
        try:
            with abandoning():
                measured = evaluation.measure(self.state.generator_ema)
        except Abandoned:
            return
        self._evaluation_due = False
        spent = evaluation.seconds - before
        if isinstance(evaluation, TrainingEvaluation):
            scores, is_best = evaluation.record(measured, step, spent)
            self.log.scalars(step, scores)
            if is_best:
                self.log.save_best(self._content)
        mark, marked_step = self._rate_mark
        self._rate_mark = (mark + spent, marked_step)
        self.log.exclude_time(spent)

    def save(self) -> None:
        """Write the checkpoint of this step. Raises TrainingFault if the ranks' networks are no longer the same."""
        self._refuse_divergence()
        self._refuse_difference()
        self.log.save(self.state.step, self._content, self.plan.keep_checkpoints)
        self._saved_step = self.state.step

    def _refuse_difference(self) -> None:
        """All ranks apply the same sums to the same weights, so they must agree in every bit."""
        if self.ranks.count > 1 and not self.ranks.same(self.state.digest()):
            raise TrainingFault(
                f"step {self.state.step}: the networks of the {self.ranks.count} processes are no longer the same; "
                f"either a class of your own draws random numbers without the given generator, or a machine is at fault"
            )

    def _content(self) -> dict[str, Any]:
        """All that a resumed run needs. The keys are the format: older checkpoints have them too."""
        return {
            **self.state.state_dict(),
            "window": self.running_means.state_dict(),
            "best": None if self.evaluation is None else self.evaluation.best,
            "evaluation_due": self._evaluation_due,
            **self._description,
        }

    def _refuse_divergence(self, *tensors: Tensor) -> None:
        """Nothing that is no longer finite, or absurdly large, gets into a checkpoint, a grid or a histogram."""
        broken_steps = self.running_means.broken_steps
        if not all_finite(self.state.networks, *tensors):
            raise self._divergence("the networks are no longer finite", broken_steps)
        if broken_steps:
            raise self._divergence(f"a loss or a gradient is beyond {LARGEST:.2g}", broken_steps)

    def _divergence(self, sign: str, broken_steps: int) -> Divergence:
        return describe_divergence(
            step=self.state.step - max(broken_steps - 1, 0),
            sign=sign,
            broken=broken_parts(self.state.networks),
            last_good=self.log.saved_step,
            settings=self._run_settings,
            metrics=self.log.metrics,
        )
