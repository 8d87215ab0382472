"""All parts of a run, made from its configuration and put together as a `Trainer`."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any

import torch

from gan_exp.config.schema import Config, ScheduleConfig
from gan_exp.data.packed import Batches, PackedImages
from gan_exp.diagnosis.diagnostics import SMALL, Diagnostics
from gan_exp.diagnosis.history import Record
from gan_exp.diagnosis.settings import RunSettings, Traits, settings_of, traits_of
from gan_exp.display.live import Display
from gan_exp.errors import UserError
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.choice import build_features, build_panel, usual_features
from gan_exp.evaluation.in_training import EvaluationHelp, TrainingEvaluation, training_metrics
from gan_exp.runs.background import Writer
from gan_exp.runs.checkpoint import data_content
from gan_exp.runs.metrics_log import MetricsLog, read_metrics
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.randomness import Rows, Streams
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.transfer import SideStream, ahead_on
from gan_exp.training.build import build, build_held_out, build_step_config
from gan_exp.training.grid import SampleGrid, grid_rows, row_names
from gan_exp.training.inputs import InputSource
from gan_exp.training.run_log import RunLog
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.silent_log import SilentLog
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, StepFn
from gan_exp.training.trainer import Plan, Schedule, Trainer

LoadHeldOut = Callable[[], PackedImages | None]


def make_trainer(
    config: Config,
    run: RunDir,
    state: TrainingState,
    data: PackedImages,
    device: torch.device,
    display: Display,
    checkpoint: Mapping[str, Any] | None = None,
    ranks: Ranks = ALONE,
) -> Trainer:
    """The trainer of a run with all its parts; `checkpoint` is the content that `state` was loaded from."""
    step_config = build_step_config(config, ranks)
    step_fn, which = _choose_step(config, state, step_config, device, display.say)
    display.say(which)
    display.show_balance(step_config.balance)
    resumed_at = None if checkpoint is None else state.step
    metrics_log = MetricsLog(run.metrics, resumed_at)  # first: it drops the records of later steps
    saved, records = (checkpoint or {}).get("doctor"), read_metrics(run.metrics)
    load_held_out = cache(partial(build_held_out, config))  # the diagnostics and the evaluations may both need it
    diagnostics = build_diagnostics(config, data, load_held_out, device, saved, records)
    grid = _build_grid(config, data, device)
    writer = Writer(SideStream(device) if device.type == "cuda" else None)
    log = RunLog(run, metrics_log, display, diagnostics, grid, step_config.balance, resumed_at, ranks.count, writer)
    if checkpoint is None:
        log.introduce(config.model_dump(mode="json"), data)
    best = (checkpoint or {}).get("best")
    evaluation = _build_evaluation(config, data, load_held_out, Division(ranks, device, display.say), display.say, best)
    return _put_together(config, state, data, device, step_config, step_fn, log, evaluation, checkpoint, ranks)


def make_silent_trainer(
    config: Config,
    state: TrainingState,
    data: PackedImages,
    device: torch.device,
    checkpoint: Mapping[str, Any] | None,
    ranks: Ranks,
) -> Trainer:
    """The trainer of a rank other than the first, which writes and shows nothing."""
    step_config = build_step_config(config, ranks)
    step_fn, _ = _choose_step(config, state, step_config, device)
    help_ = EvaluationHelp(Division(ranks, device), data.spec) if config.evaluate_every_steps else None
    return _put_together(config, state, data, device, step_config, step_fn, SilentLog(), help_, checkpoint, ranks)


def _put_together(
    config: Config,
    state: TrainingState,
    data: PackedImages,
    device: torch.device,
    step_config: StepConfig,
    step_fn: StepFn,
    log: RunLog | SilentLog,
    evaluation: TrainingEvaluation | EvaluationHelp | None,
    checkpoint: Mapping[str, Any] | None,
    ranks: Ranks,
) -> Trainer:
    penalty = step_config.penalty
    penalty_name = None if penalty is None else type(penalty).__name__.lower()
    auxiliary = getattr(state.discriminator, "auxiliary_name", None)
    running_means = RunningMeans(device, penalty_name, step_config.boundary, auxiliary)
    if checkpoint is not None:
        running_means.load_state_dict(checkpoint["window"])
    description = {
        "config": config.model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "processes": ranks.count,
        **data_content(data),
    }
    return Trainer(
        _plan(config),
        state,
        step_fn,
        build_inputs(config, data, step_config, device),
        _build_schedules(config),
        running_means,
        log,
        evaluation,
        run_settings(config, data),
        description,
        checkpoint,
        ranks,
    )


def trial_step(config: Config, state: TrainingState, data: PackedImages, device: torch.device) -> Callable[[], object]:
    """A training step, always on the same batch, which changes `state`: give it networks that no run needs."""
    step_config = build_step_config(config)
    step_fn, _ = _choose_step(config, state, step_config, device)
    inputs = build_inputs(config, data, step_config, device)
    discriminator_inputs, generator_inputs = inputs.discriminator(0), inputs.generator(0)
    return lambda: step_fn(discriminator_inputs, generator_inputs)


def _choose_step(
    config: Config,
    state: TrainingState,
    step_config: StepConfig,
    device: torch.device,
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[StepFn, str]:
    """The StepFn, and a line that says which it is. The plain one needs nothing of `acceleration`."""
    if config.fast_path == "plain":
        return partial(train_step, state, step_config), "steps: plain"
    from gan_exp.training.acceleration.choice import choose_step

    scheduled = config.schedule.beta2 is not None
    return choose_step(config.fast_path, state, step_config, device, scheduled, warn, config.steps)


def _plan(config: Config) -> Plan:
    return Plan(
        steps=config.steps,
        batch_size=config.batch_size,
        n_critic=config.n_critic,
        penalty_every=None if config.node("penalty") is None else config.penalty.get("every", 1),
        ema_halflife_kimg=config.ema_halflife_kimg,
        ema_ramp_up=None if config.start_from and "average" in config.start_keep else config.ema_ramp_up,
        log_every_steps=config.log_every_steps,
        sample_every_steps=config.sample_every_steps,
        evaluate_every_steps=config.evaluate_every_steps,
        checkpoint_every_steps=config.checkpoint_every_steps,
        keep_checkpoints=config.keep_checkpoints,
    )


def build_inputs(config: Config, data: PackedImages, step_config: StepConfig, device: torch.device) -> InputSource:
    """Of the rows that this rank has of each batch."""
    rows = step_config.ranks.rows(config.batch_size)
    return InputSource(
        Batches(data, config.batch_size, config.sampling, config.seed, config.dataset.get("mirror", False)),
        Streams(config.seed, device, ahead_on(device)),
        config.latent_dim,
        config.n_critic,
        config.penalty.get("every", 1),
        step_config.generator_needs_batch,
        Rows(rows.start, rows.stop, config.batch_size) if step_config.ranks.count > 1 else None,
    )


def _build_schedules(config: Config) -> dict[str, Schedule | None]:
    return {name: build(config, f"schedule.{name}") for name in ScheduleConfig.model_fields}


def _build_grid(config: Config, data: PackedImages, device: torch.device) -> SampleGrid:
    spec, conditional = data.spec, config.conditional
    rows = grid_rows(config.grid_rows, spec, conditional)
    names = row_names(data.classes, rows) if conditional else []
    return SampleGrid(spec, config.seed, config.latent_dim, rows, config.grid_columns, conditional, device, names)


def run_settings(config: Config, data: PackedImages) -> RunSettings:
    return settings_of(config.model_dump(), run_traits(config, data))


def run_traits(config: Config, data: PackedImages) -> Traits:
    """What the doctor needs to know of the classes that the run names; kept with the run."""
    return traits_of(config.model_dump(), data.extent is not None)


def build_diagnostics(
    config: Config,
    data: PackedImages,
    load_held_out: LoadHeldOut,
    device: torch.device,
    saved: Mapping[str, Any] | None = None,
    records: Iterable[Record] = (),
) -> Diagnostics:
    held_out: PackedImages | None = None
    with suppress(UserError, OSError):  # no test part at hand: training needs none
        held_out = load_held_out() if len(data.images) <= SMALL else None
    return Diagnostics(
        run_settings(config, data),
        data,
        held_out,
        device,
        config.seed,
        config.latent_dim,
        config.pac,
        config.conditional,
        saved,
        records,
    )


def _build_evaluation(
    config: Config,
    data: PackedImages,
    load_held_out: LoadHeldOut,
    division: Division,
    say: Callable[[str], None],
    previous_best: Mapping[str, Any] | None,
) -> TrainingEvaluation | None:
    """None if there are none."""
    if not config.evaluate_every_steps:
        return None
    metrics = training_metrics(data, config.best_metric)

    def make_evaluator() -> Evaluator:
        held_out, device = load_held_out(), division.device
        extractor = build_features(usual_features(data), data, held_out, device, say)
        panel = build_panel(metrics, data, held_out, device, say)
        of_run = config.latent_dim, config.conditional
        return Evaluator(*of_run, data, held_out, data, extractor, metrics, panel, division)

    space = "points" if data.extent is not None else usual_features(data)
    return TrainingEvaluation(
        make_evaluator, space, metrics, config.best_metric, config.evaluate_count, say, previous_best, division
    )
