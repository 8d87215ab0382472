"""One run from its configuration to its closing words: what `train` and `resume` share."""

import traceback
from typing import Any

import torch

from gan_exp.build import build_data, build_state
from gan_exp.checkpoint import data_spec, load_newest
from gan_exp.config import Config
from gan_exp.data.packed import DataSpec
from gan_exp.device import describe_device, prepare_device
from gan_exp.errors import TrainingFault, UserError
from gan_exp.monitor.display import Display
from gan_exp.monitor.environment import describe_environment
from gan_exp.monitor.summary import closing_table, network_table
from gan_exp.run_dir import RunDir
from gan_exp.trainer import Trainer


def start_run(config: Config, directory: str) -> None:
    """Train a new run in `directory`. Raises UserError before anything is written where the input is bad."""
    device = prepare_device(config.device)
    data = build_data(config, device)
    state = build_state(config, data.spec, device)
    run = RunDir.create(directory, config.model_dump(), describe_environment(device))
    with _open_display(config, run, data.image_shape, device) as display:
        labels = [torch.zeros(1, dtype=torch.long, device=device)] if config.conditional else []
        example = torch.zeros(1, config.latent_dim, device=device)
        display.show(network_table("generator", state.generator, example, *labels))
        channels, height, width = data.image_shape
        example = torch.zeros(1, channels * config.pac, height, width, device=device)
        display.show(network_table("discriminator", state.discriminator, example, *labels))
        display.say(f"run directory: {run.path}")
        _finish(run, lambda: Trainer(config, run, state, data, device, display), display)


def continue_run(config: Config, run: RunDir) -> None:
    """Go on from the newest whole checkpoint of `run`."""
    device = prepare_device(config.device)
    data = build_data(config, device)
    state = build_state(config, data.spec, device)
    checkpoint, passed_over = load_newest(run, device)
    if data_spec(checkpoint) != data.spec:
        raise UserError(
            f"{run.path}: was trained on {_describe(data_spec(checkpoint))}, the data now is {_describe(data.spec)}; "
            f"bring back the data it was trained on"
        )
    try:
        state.load_state_dict(checkpoint)
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"{run.path}: its checkpoints don't fit its config.yaml any more ({str(error).splitlines()[0]}); "
            f"bring back the values it was trained with"
        ) from error
    with _open_display(config, run, data.image_shape, device) as display:
        for sentence in passed_over:
            display.say(f"passed over: {sentence}")
        display.say(f"resuming {run.path} at step {state.step}")
        _finish(run, lambda: Trainer(config, run, state, data, device, display, checkpoint), display)


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
    display.say(title)
    return display


def _finish(run: RunDir, make_trainer: Any, display: Display) -> None:
    """Run the loop, write how it ended, and say what to do next."""
    trainer: Trainer | None = None
    try:
        trainer = make_trainer()
        assert trainer is not None
        first_step = trainer.state.step
        stopped_by = trainer.train()
        step, metrics = trainer.state.step, trainer.metrics
        if stopped_by is not None:
            run.write_status("interrupted", step, stopped_by.name, metrics=metrics)
            display.say(f"interrupted at step {step}; go on with: gan-exp resume {run.path}")
            raise SystemExit(128 + stopped_by)
        trainer.animate()
        seconds = round(trainer.seconds, 3)
        run.write_status("finished", step, metrics=metrics, train_seconds=seconds)
    except (Exception, KeyboardInterrupt) as error:
        fault = _explain(error, run)
        _write_failure(run, 0 if trainer is None else trainer.state.step, error, fault)
        display.stop()
        raise fault from error
    display.show(closing_table(run, metrics, trainer.seconds, step - first_step))
    display.show_preview()
    display.say(
        f"next: gan-exp sample latest --output samples.png | gan-exp dashboard | gan-exp resume latest steps={2 * step}"
    )


def _explain(error: BaseException, run: RunDir) -> BaseException:
    """The one sentence for what ended the run; the log has the rest."""
    if isinstance(error, TrainingFault | KeyboardInterrupt | UserError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingFault(f"out of GPU memory; try a smaller batch_size or a narrower model ({run.path})")
    if isinstance(error, OSError):
        return TrainingFault(
            f"{run.path}: {error.strerror or error}; make room or mend the disk, then: gan-exp resume {run.path}"
        )
    return TrainingFault(f"{type(error).__name__}: {error} (the traceback is in {run.log})")


def _write_failure(run: RunDir, step: int, error: BaseException, fault: BaseException) -> None:
    """As far as the disk allows."""
    interrupted = isinstance(error, KeyboardInterrupt)
    try:
        run.write_status("interrupted" if interrupted else "failed", step, "SIGINT" if interrupted else str(fault))
        if not isinstance(error, TrainingFault | KeyboardInterrupt | UserError):
            with run.log.open("a", encoding="utf-8") as log:
                traceback.print_exception(error, file=log)
    except OSError:
        return
