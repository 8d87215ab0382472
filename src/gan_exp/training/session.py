"""One run from its configuration to its closing words: `train` and `resume` share it.

Everything that a run consists of is made here once, from the checked configuration: the data, the networks, and with
`assembly.py` the trainer and its parts.
"""

import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from gan_exp.config.check import with_absolute_paths
from gan_exp.config.contradictions import choices, refuse_new, refuse_new_with
from gan_exp.config.overrides import differing_keys, leaves
from gan_exp.config.parts import refuse_other_statistics, statistics_of_parts
from gan_exp.config.plain_yaml import yaml_text
from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.data.reading import reading_lines
from gan_exp.display.live import Display
from gan_exp.display.summary import closing_table, network_table, next_commands
from gan_exp.errors import UserError
from gan_exp.evaluation.in_training import TrainingEvaluation, choose_best_metric, refuse_unmeasurable
from gan_exp.runs.checkpoint import data_spec, load_newest
from gan_exp.runs.environment import describe_environment
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.device import describe_device, prepare_device
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import Interrupted, before_forced_exit, deferring, recording_signals, stop_if_asked
from gan_exp.runtime.terminal import report
from gan_exp.runtime.threads import choose_threads
from gan_exp.training.assembly import make_trainer, run_traits, trial_step
from gan_exp.training.build import build_data, build_state
from gan_exp.training.faults import explain, explain_trial, write_failure
from gan_exp.training.needs import Needs, run_needs
from gan_exp.training.precision import choose_precision
from gan_exp.training.run_log import RunLog
from gan_exp.training.start import NOTHING, take_over
from gan_exp.training.state import TrainingState
from gan_exp.training.together import bring_in, refuse_processes, threads_for
from gan_exp.training.trainer import Trainer


@recording_signals()
def start_run(
    config: Config,
    directory: str,
    in_sweep: bool = False,
    command: Sequence[str] | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Train a new run in `directory`. Raises UserError before anything is written if the input is bad.

    A run `in_sweep` neither describes its networks nor suggests the next commands: the sweep does so for all of its
    runs, and a program that trains has no use for them. `command` holds the words that started it, if they aren't those
    of this process. Of several `ranks` this is the first, and the others `take_part`.

    Raises Interrupted when a signal asked it to stop; everything is saved then, if the run had begun.
    """
    refuse_new(config)
    refuse_processes(config, ranks)
    device = prepare_device(config.device, threads_for(config, ranks), ranks)
    data = build_data(config, device)
    stop_if_asked()
    config = with_absolute_paths(_with_best_metric(config, data))
    state = build_state(config, data.spec, device)
    config, precision = _with_precision(config, state, device)
    refuse_new_with(config, state.networks, device)
    start = take_over(config, state, data)
    needs = run_needs(config, state, data, device, directory, ranks)
    needs.refuse_too_little()
    try:
        config, why_threads = (config, None) if ranks.count > 1 else _with_threads(config, data, device)
    except RuntimeError as error:
        raise explain_trial(error, needs.after_running_out) from error
    environment = {**_environment(config, data, device, ranks, command), **start.record, **needs.record}
    stop_if_asked()
    bring_in(ranks, config, state, data, device)
    with deferring():
        run = RunDir.create(directory, config.model_dump(mode="json"), environment)
        with run.locked(), _open_display(config, run, data.image_shape, device, ranks) as display:
            if not in_sweep:
                _describe_networks(display, config, state, data, device)
            for line in [
                *(reading_lines(data.reading) if data.reading else []),
                *(f"chosen: {line}" for line in config.chosen),
                *choices(config),
                *statistics_of_parts(config, state.networks, ranks.count),
                *start.lines,
                precision,
                *needs.lines(),
                *([why_threads] if why_threads else []),
            ]:
                display.say(line)
            display.say(f"run directory: {shlex.quote(str(run.path))}")
            make = partial(make_trainer, config, run, state, data, device, display, ranks=ranks)
            _finish(needs, run, make, display, in_sweep, ranks)


def _environment(
    config: Config, data: PackedImages, device: torch.device, ranks: Ranks, command: Sequence[str] | None = None
) -> dict[str, Any]:
    described = describe_environment(device, command, ranks.count)
    return {**described, "traits": run_traits(config, data)}


def _with_precision(config: Config, state: TrainingState, device: torch.device) -> tuple[Config, str]:
    """The configuration with what `device.precision=auto` stands for, and a line that says it."""
    precision, line = choose_precision(config.device.precision, device, state.networks)
    return config.model_copy(update={"device": config.device.model_copy(update={"precision": precision})}), line


def _with_threads(config: Config, data: PackedImages, device: torch.device) -> tuple[Config, str | None]:
    """The configuration with `device.threads` in it, and a line that says why; unchanged if the user set it."""
    if config.device.threads is not None:
        return config, None
    choice = choose_threads(partial(trial_step, config, data, device), device, config.device.deterministic)
    if choice is None:
        return config, None
    threads, why = choice
    return config.model_copy(update={"device": config.device.model_copy(update={"threads": threads})}), why


def _with_best_metric(config: Config, data: PackedImages) -> Config:
    """The configuration with the score that `auto` stands for. Raises UserError if this data can't have the score."""
    best_metric = choose_best_metric(config.best_metric, data)
    if config.evaluate_every_steps:
        refuse_unmeasurable(best_metric, data, config.dataset["name"])
    return config.model_copy(update={"best_metric": best_metric})


def _describe_networks(
    display: Display, config: Config, state: TrainingState, data: PackedImages, device: torch.device
) -> None:
    """Show both networks layer by layer."""
    labels = [torch.zeros(1, dtype=torch.long, device=device)] if config.conditional else []
    latents = torch.zeros(1, config.latent_dim, device=device)
    display.show(network_table("generator", state.generator, latents, *labels))
    channels, height, width = data.image_shape
    images = torch.zeros(1, channels * config.pac, height, width, device=device)
    display.show(network_table("discriminator", state.discriminator, images, *labels))


@recording_signals()
def continue_run(config: Config, run: RunDir, in_sweep: bool = False, ranks: Ranks = ALONE) -> None:
    """Continue from the newest whole checkpoint of `run`, which the caller has locked.

    A run that crashed before its first checkpoint, that of step 0, begins anew. It may go on with another number of
    `ranks`. Raises UserError if `config` would make another experiment of it, or the data has changed.
    """
    never_began = not run.list_checkpoints() and run.read_status().get("step", 0) == 0
    checkpoint, passed_over = (None, []) if never_began else load_newest(run)
    _refuse_another_experiment(config, run, checkpoint or {})
    refuse_processes(config, ranks)
    device = prepare_device(config.device, threads_for(config, ranks, checkpoint), ranks)
    data = build_data(config, device)
    stop_if_asked()
    config = with_absolute_paths(_with_best_metric(config, data))
    state = build_state(config, data.spec, device)
    if checkpoint is not None:
        refuse_other_statistics({"config": run.read_config(), **checkpoint}, config, state.networks, ranks.count)
        _restore(state, data, checkpoint, run)
    start = take_over(config, state, data) if checkpoint is None else NOTHING
    config, precision = _with_precision(config, state, device)
    needs = run_needs(config, state, data, device, str(run.path), ranks)
    stop_if_asked()
    bring_in(ranks, config, state, data, device, checkpoint)
    with deferring(), _open_display(config, run, data.image_shape, device, ranks) as display:
        run.make_folders()
        run.remove_leftovers()
        if checkpoint is None:
            run.discard_records()
            run.write_environment({**_environment(config, data, device, ranks), **start.record})
        plain = config.model_dump(mode="json")
        if plain != run.read_config():
            write_atomically(run.config, yaml_text(plain))
        for line in (*(f"skipped: {sentence}" for sentence in passed_over), *start.lines):
            display.say(line)
        begun = "beginning" if checkpoint is None else "resuming"
        display.say(f"{begun} {shlex.quote(str(run.path))} at step {state.step}")
        display.say(precision)
        make = partial(make_trainer, config, run, state, data, device, display, checkpoint, ranks)
        _finish(needs, run, make, display, in_sweep, ranks)


def _refuse_another_experiment(config: Config, run: RunDir, checkpoint: dict[str, Any]) -> None:
    before = checkpoint.get("config") or run.read_config()  # format 1 did not hold it
    differing = differing_keys(before, config.model_dump(mode="json"))
    if differing:
        were = ", ".join(f"{key}={leaves(before)[key]}" for key in differing)
        raise UserError(
            f"{', '.join(differing)}: can't change in the middle of a run, it would be another experiment ({run.path} "
            f"was trained with {were}); train it as a new one with `gan-exp train`"
        )
    step = checkpoint.get("step", 0)
    if config.steps < step:
        raise UserError(f"steps={config.steps}: the run is at step {step} already; give more steps than that")


def _restore(state: TrainingState, data: PackedImages, checkpoint: dict[str, Any], run: RunDir) -> None:
    """Raises UserError if the data is not what the checkpoint was trained on."""
    if data_spec(checkpoint) != data.spec:
        raise UserError(
            f"{run.path}: was trained on {_describe(data_spec(checkpoint))}, the data now is {_describe(data.spec)}; "
            f"restore the data that it was trained on{_labels_ignored(data)}"
        )
    if checkpoint.get("data_digest", data.digest) != data.digest:
        raise UserError(
            f"{run.path}: the data has changed since the run began (its digest is {data.digest}, it was "
            f"{checkpoint['data_digest']}); restore the data that it was trained on{_labels_ignored(data)}, or "
            f"train a new run"
        )
    try:
        state.load_state_dict(checkpoint)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run.path}: its checkpoints don't fit its config.yaml any more ({str(error).splitlines()[0]}); "
            f"restore the values, or the version of gan-exp, that it was trained with"
        ) from error


def _labels_ignored(data: PackedImages) -> str:
    """A remedy where a file has the labels, which an earlier version, or a folder without the file, did not read."""
    file = (data.reading or {}).get("labels_file")
    return f", or set dataset.labels=folders if it was without {file}" if file else ""


def _describe(spec: DataSpec) -> str:
    channels, height, width = spec.image_shape
    kind = f"images of {height}x{width}x{channels}" if spec.extent is None else f"points within {spec.extent:g}"
    return f"{kind} in {spec.num_classes} classes" if spec.num_classes else f"{kind} without labels"


def _open_display(
    config: Config, run: RunDir, shape: tuple[int, int, int], device: torch.device, ranks: Ranks
) -> Display:
    channels, height, width = shape
    title = (
        f"{config.name}: {config.model.name} on {config.dataset['name']} ({height}x{width}x{channels}), "
        f"{describe_device(device, ranks.count)}"
    )
    display = Display(config.display, run.log, title, config.steps)
    display.show_title()
    return display


def _finish(
    needs: Needs, run: RunDir, make: Callable[[], Trainer], display: Display, in_sweep: bool, ranks: Ranks
) -> None:
    """Run the loop, write how it ended, and suggest the next commands, unless a sweep does so for all of its runs."""
    trainer: Trainer | None = None
    try:
        trainer = make()
        first_step = trainer.state.step
        with (
            before_forced_exit(lambda found: _leave_at_once(run, found, display)),
            ranks.before_end(lambda failure: _leave_without(run, failure, display, needs)),
        ):
            stopped_by = trainer.train()
        step, log = trainer.state.step, trainer.log
        assert isinstance(log, RunLog)
        if stopped_by is not None:
            run.write_status("interrupted", step, stopped_by.name, **log.status)
            display.say(f"interrupted at step {step}; continue with: gan-exp resume {shlex.quote(str(run.path))}")
            raise Interrupted(stopped_by, reported=True)
        log.animate()
        run.write_status("finished", step, **log.status, train_seconds=round(trainer.seconds, 3))
    except Exception as error:
        cause = ranks.cause_of(error)
        fault = explain(cause, run, needs.after_running_out)
        write_failure(run, 0 if trainer is None else trainer.state.step, cause, fault)
        display.stop()
        raise fault from cause
    display.show(closing_table(run, log.metrics, trainer.seconds, step - first_step, log.verdicts))
    display.show_preview()
    if isinstance(trainer.evaluation, TrainingEvaluation):
        display.say(trainer.evaluation.closing_line())
    if not in_sweep:
        display.say(next_commands(run, 2 * step))


def _leave_without(run: RunDir, failure: Exception, display: Display, needs: Needs) -> None:
    """After the failure of another rank, without which this one is stuck."""
    kept = run.list_checkpoints()
    fault = explain(failure, run, needs.after_running_out)
    write_failure(run, kept[-1][0] if kept else 0, failure, fault)
    display.stop()
    report(str(fault))


def _leave_at_once(run: RunDir, found: signal.Signals, display: Display) -> None:
    """After a second signal: write the status and a last line; it may have come in the middle of anything."""
    kept = run.list_checkpoints()
    step = kept[-1][0] if kept else 0
    with suppress(OSError):
        run.write_status("interrupted", step, found.name)
    display.stop()
    display.say(f"stopped at once; continue from step {step} with: gan-exp resume {shlex.quote(str(run.path))}")
