"""One run from its configuration to its closing words: `train` and `resume` share it.

Everything that a run consists of is made here once, from the checked configuration: the data, the networks, and with
`assembly.py` the trainer and its parts. What the configuration leaves open is decided in `decisions.py`; a resumed run
gets its state in `restoring.py`; `ending.py` trains, and writes how the run ended.
"""

import shlex
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from gan_exp.config.check import with_absolute_paths
from gan_exp.config.contradictions import choices, refuse_new, refuse_new_with
from gan_exp.config.own_images import told
from gan_exp.config.parts import refuse_other_statistics, statistics_of_parts
from gan_exp.config.plain_yaml import yaml_text
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.data.reading import reading_lines
from gan_exp.display.live import Display
from gan_exp.display.summary import network_table
from gan_exp.models.examples import example_inputs
from gan_exp.runs.checkpoint import load_newest
from gan_exp.runs.environment import describe_environment
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.device import describe_device, prepare_device
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import deferring, recording_signals, stop_if_asked
from gan_exp.training.assembly import make_trainer, run_traits
from gan_exp.training.build import build_data, build_state, refuse_alike
from gan_exp.training.decisions import decide_best_metric, decide_merging, decide_precision, decide_threads
from gan_exp.training.ending import train_to_the_end
from gan_exp.training.needs import Needs, run_needs
from gan_exp.training.restoring import refuse_another_experiment, restore
from gan_exp.training.start import NOTHING, take_over
from gan_exp.training.state import TrainingState
from gan_exp.training.together import bring_in, refuse_processes, threads_for


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
    begun = _begin(config, directory, command, ranks)
    config, state, data, device, needs = begun.config, begun.state, begun.data, begun.device, begun.needs
    bring_in(ranks, config, state, data, device)
    with deferring():
        run = RunDir.create(directory, config.model_dump(mode="json"), begun.environment)
        with run.locked(), _open_display(config, run, data.image_shape, device, ranks) as display:
            if not in_sweep:
                _describe_networks(display, config, state, data, device)
            for line in begun.lines:
                display.say(line)
            display.say(f"run directory: {shlex.quote(str(run.path))}")
            make = partial(make_trainer, config, run, state, data, device, display, ranks=ranks)
            train_to_the_end(needs, run, make, display, in_sweep, ranks)


class _Begun(NamedTuple):
    """A new run before anything of it is written."""

    config: Config  # with nothing left open
    state: TrainingState
    data: PackedImages
    device: torch.device
    needs: Needs
    environment: dict[str, Any]
    lines: list[str]  # what was read, chosen and decided


def _begin(config: Config, directory: str, command: Sequence[str] | None, ranks: Ranks) -> _Begun:
    refuse_new(config)
    refuse_processes(config, ranks)
    device = prepare_device(config.device, threads_for(config, ranks), ranks)
    data = build_data(config, device)
    stop_if_asked()
    refuse_alike(config, data)
    config = with_absolute_paths(decide_best_metric(config, data))
    state = build_state(config, data.spec, device)
    config, precision = decide_precision(config, state, device)
    refuse_new_with(config, state.networks, device)
    start = take_over(config, state, data)
    config, merging = decide_merging(config, state, device, ranks.count)
    needs = run_needs(config, state, data, device, directory, ranks)
    needs.refuse_too_little()
    why_threads = None
    if ranks.count == 1:  # the threads of several are their share of the cores
        shortest = needs.seconds_at_least
        config, why_threads = decide_threads(config, data, device, needs.after_running_out, shortest)
    lines = [
        *(reading_lines(data.reading, len(data.images)) if data.reading else []),
        *told(config.chosen),
        *choices(config),
        *statistics_of_parts(config, state.networks, ranks.count),
        *start.lines,
        precision,
        *merging,
        *needs.lines(),
        *([why_threads] if why_threads else []),
    ]
    environment = {**_environment(config, data, device, ranks, command), **start.record, **needs.record}
    stop_if_asked()
    return _Begun(config, state, data, device, needs, environment, lines)


def _environment(
    config: Config, data: PackedImages, device: torch.device, ranks: Ranks, command: Sequence[str] | None = None
) -> dict[str, Any]:
    described = describe_environment(device, command, ranks.count)
    return {**described, "traits": run_traits(config, data)}


def _describe_networks(
    display: Display, config: Config, state: TrainingState, data: PackedImages, device: torch.device
) -> None:
    """Show both networks layer by layer."""
    examples = example_inputs(1, config.latent_dim, data.image_shape, config.pac, config.conditional, device)
    display.show(network_table("generator", state.generator, *examples.generator))
    display.show(network_table("discriminator", state.discriminator, *examples.discriminator))


@recording_signals()
def continue_run(config: Config, run: RunDir, in_sweep: bool = False, ranks: Ranks = ALONE) -> None:
    """Continue from the newest whole checkpoint of `run`, which the caller has locked.

    A run that crashed before its first checkpoint, that of step 0, begins anew. It may go on with another number of
    `ranks`. Raises UserError if `config` would make another experiment of it, or the data has changed.
    """
    never_began = not run.list_checkpoints() and run.read_status().get("step", 0) == 0
    checkpoint, passed_over = (None, []) if never_began else load_newest(run)
    refuse_another_experiment(config, run, checkpoint or {})
    refuse_processes(config, ranks)
    device = prepare_device(config.device, threads_for(config, ranks, checkpoint), ranks)
    data = build_data(config, device)
    stop_if_asked()
    config = with_absolute_paths(decide_best_metric(config, data))
    state = build_state(config, data.spec, device)
    if checkpoint is not None:
        refuse_other_statistics({"config": run.read_config(), **checkpoint}, config, state.networks, ranks.count)
        restore(state, data, checkpoint, run)
    start = take_over(config, state, data) if checkpoint is None else NOTHING
    config, precision = decide_precision(config, state, device)
    config, merging = decide_merging(config, state, device, ranks.count)
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
        for line in (precision, *merging):
            display.say(line)
        make = partial(make_trainer, config, run, state, data, device, display, checkpoint, ranks)
        train_to_the_end(needs, run, make, display, in_sweep, ranks)


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
