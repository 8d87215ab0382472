"""One run from its configuration to its closing words: what `train` and `resume` share."""

import errno
import re
import shlex
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from gan_exp.config.contradictions import check_new, choices, refuse_contradictions
from gan_exp.config.overrides import differing_keys, leaves
from gan_exp.config.plain_yaml import yaml_text
from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec, PackedImages
from gan_exp.diagnosis.divergence import Divergence
from gan_exp.diagnosis.facts import facts_of
from gan_exp.diagnosis.verdicts import diverged
from gan_exp.display.live import Display
from gan_exp.display.summary import closing_table, network_table, next_commands
from gan_exp.errors import TrainingFault, UserError
from gan_exp.evaluation.in_training import refuse_unmeasurable
from gan_exp.runs.checkpoint import data_spec, load_newest
from gan_exp.runs.environment import describe_environment
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.device import describe_device, prepare_device
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.signals import Interrupted, before_leaving, deferring, noting, stop_if_asked
from gan_exp.runtime.threads import choose_threads
from gan_exp.training.build import build_data, build_state
from gan_exp.training.state import TrainingState
from gan_exp.training.trainer import Trainer


@noting()
def start_run(config: Config, directory: str, in_sweep: bool = False, command: Sequence[str] | None = None) -> None:
    """Train a new run in `directory`. Raises UserError before anything is written where the input is bad.

    A run `in_sweep` neither describes its networks nor says what to do next: the sweep has a closing of its own.
    `command` are the words that it was started with, if they aren't those of this process.

    Raises Interrupted, with everything saved once there is a run, when a signal asked it to stop.
    """
    check_new(config)
    device = prepare_device(config.device)
    data = build_data(config, device)
    stop_if_asked()
    refuse_unmeasurable(config, data)
    state = build_state(config, data.spec, device)
    refuse_contradictions(config, state, device)
    config, why_threads = choose_threads(config, data, device)
    environment = describe_environment(device, command)
    stop_if_asked()
    with deferring():
        run = RunDir.create(directory, config.model_dump(mode="json"), environment)
        with run.locked(), _open_display(config, run, data.image_shape, device) as display:
            if not in_sweep:
                _describe_networks(display, config, state, data, device)
            for line in [*choices(config), *([why_threads] if why_threads else [])]:
                display.say(line)
            display.say(f"run directory: {shlex.quote(str(run.path))}")
            _finish(run, lambda: Trainer(config, run, state, data, device, display), display, in_sweep)


def _describe_networks(
    display: Display, config: Config, state: TrainingState, data: PackedImages, device: torch.device
) -> None:
    """Layer by layer."""
    labels = [torch.zeros(1, dtype=torch.long, device=device)] if config.conditional else []
    latents = torch.zeros(1, config.latent_dim, device=device)
    display.show(network_table("generator", state.generator, latents, *labels))
    channels, height, width = data.image_shape
    images = torch.zeros(1, channels * config.pac, height, width, device=device)
    display.show(network_table("discriminator", state.discriminator, images, *labels))


@noting()
def continue_run(config: Config, run: RunDir, in_sweep: bool = False) -> None:
    """Go on from the newest whole checkpoint of `run`, which its caller has locked.

    A run that a crash took before its first checkpoint, which is that of step 0, begins. Raises UserError where
    `config` would make another experiment of it, or the data is no longer the same.
    """
    never_began = not run.list_checkpoints() and run.read_status().get("step", 0) == 0
    checkpoint, passed_over = (None, []) if never_began else load_newest(run)
    _refuse_another_experiment(config, run, checkpoint or {})
    device = prepare_device(config.device, None if checkpoint is None else checkpoint.get("threads"))
    data = build_data(config, device)
    stop_if_asked()
    refuse_unmeasurable(config, data)
    state = build_state(config, data.spec, device)
    if checkpoint is not None:
        _restore(state, data, checkpoint, run)
    stop_if_asked()
    with deferring(), _open_display(config, run, data.image_shape, device) as display:
        run.make_folders()
        run.remove_leftovers()
        if checkpoint is None:
            run.forget_beginning()
            run.write_environment(describe_environment(device))
        plain = config.model_dump(mode="json")
        if plain != run.read_config():
            write_atomically(run.config, yaml_text(plain))
        for sentence in passed_over:
            display.say(f"passed over: {sentence}")
        begun = "beginning" if checkpoint is None else "resuming"
        display.say(f"{begun} {shlex.quote(str(run.path))} at step {state.step}")
        _finish(run, lambda: Trainer(config, run, state, data, device, display, checkpoint), display, in_sweep)


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
    """Raises UserError where the data is not what the checkpoint was trained on."""
    if data_spec(checkpoint) != data.spec:
        raise UserError(
            f"{run.path}: was trained on {_describe(data_spec(checkpoint))}, the data now is {_describe(data.spec)}; "
            f"bring back the data it was trained on"
        )
    if checkpoint.get("data_digest", data.digest) != data.digest:
        raise UserError(
            f"{run.path}: the data has changed since the run began (its digest is {data.digest}, it was "
            f"{checkpoint['data_digest']}); bring back the data it was trained on, or train a new run"
        )
    try:
        state.load_state_dict(checkpoint)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{run.path}: its checkpoints don't fit its config.yaml any more ({str(error).splitlines()[0]}); "
            f"bring back the values, or the version of gan-exp, that it was trained with"
        ) from error


def _describe(spec: DataSpec) -> str:
    channels, height, width = spec.image_shape
    what = f"images of {height}x{width}x{channels}" if spec.extent is None else f"points within {spec.extent:g}"
    return f"{what} in {spec.num_classes} classes" if spec.num_classes else f"{what} without labels"


def _open_display(config: Config, run: RunDir, shape: tuple[int, int, int], device: torch.device) -> Display:
    channels, height, width = shape
    title = (
        f"{config.name}: {config.model.name} on {config.dataset['name']} ({height}x{width}x{channels}), "
        f"{describe_device(device)}"
    )
    display = Display(config.display, run.log, title, config.steps)
    display.introduce()
    return display


def _finish(run: RunDir, make_trainer: Callable[[], Trainer], display: Display, in_sweep: bool) -> None:
    """Run the loop, write how it ended, and say what to do next, which a sweep does for all of its runs."""
    trainer: Trainer | None = None
    try:
        trainer = make_trainer()
        first_step = trainer.state.step
        with before_leaving(lambda found: _leave_at_once(run, found, display)):
            stopped_by = trainer.train()
        step = trainer.state.step
        if stopped_by is not None:
            run.write_status("interrupted", step, stopped_by.name, **trainer.status)
            display.say(f"interrupted at step {step}; go on with: gan-exp resume {shlex.quote(str(run.path))}")
            raise Interrupted(stopped_by, told=True)
        trainer.animate()
        seconds = round(trainer.seconds, 3)
        run.write_status("finished", step, **trainer.status, train_seconds=seconds)
    except Exception as error:
        fault = _explain(error, run, trainer)
        _write_failure(run, trainer, error, fault)
        display.stop()
        raise fault from error
    display.show(closing_table(run, trainer.metrics, trainer.seconds, step - first_step, trainer.diagnostics.verdicts))
    display.show_preview()
    if trainer.evaluation is not None:
        display.say(trainer.evaluation.closing_line())
    if not in_sweep:
        display.say(next_commands(run, 2 * step))


def _leave_at_once(run: RunDir, found: signal.Signals, display: Display) -> None:
    """What a second signal leaves time for; it may have come in the middle of anything."""
    kept = run.list_checkpoints()
    step = kept[-1][0] if kept else 0
    with suppress(OSError):
        run.write_status("interrupted", step, found.name)
    display.stop()
    display.say(f"left at once; go on from step {step} with: gan-exp resume {shlex.quote(str(run.path))}")


def _explain(error: Exception, run: RunDir, trainer: Trainer | None) -> Exception:
    """The one sentence for what ended the run; the log has the rest."""
    if isinstance(error, TrainingFault | UserError):
        return error
    go_on = f"gan-exp resume {shlex.quote(str(run.path))}"
    if _out_of_memory(error):
        batch_size = "" if trainer is None else f" (now {trainer.config.batch_size})"
        return TrainingFault(
            f"{run.path}: out of memory; train anew with a smaller batch_size{batch_size} or a narrower model, "
            f"or free memory and: {go_on}"
        )
    if isinstance(error, OSError):
        return TrainingFault(f"{run.path}: {_disk_trouble(error, run)}, then: {go_on}")
    return TrainingFault(f"{type(error).__name__}: {error} (the traceback is in {run.log})")


def _out_of_memory(error: Exception) -> bool:
    """On the GPU it has a class of its own; on the CPU torch raises a RuntimeError."""
    told = isinstance(error, RuntimeError) and re.search(r"not enough memory|can't allocate memory", str(error))
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(told)


def _disk_trouble(error: OSError, run: RunDir) -> str:
    what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full or the file too large: {what}; make room"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"can't be written any more: {what}; make it writable"
    if error.errno == errno.ENOENT:
        gone = "a part of the run directory" if run.config.exists() else "the run directory"
        return f"{gone} vanished: {what}; bring it back"
    return f"{what}; mend the disk"


def _write_failure(run: RunDir, trainer: Trainer | None, error: Exception, fault: Exception) -> None:
    """As far as the disk allows."""
    step = 0 if trainer is None else trainer.state.step
    details: dict[str, Any] = {}
    if trainer is not None and isinstance(error, Divergence):
        step = error.step  # since when, not when it was found out
        facts = facts_of(trainer.config.model_dump())
        details["doctor"] = [diverged(str(error), facts, trainer.metrics).plain()]
    with suppress(OSError):
        run.write_status("failed", step, str(fault), **details)
    if not isinstance(error, TrainingFault | UserError):
        with suppress(OSError), run.log.open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
