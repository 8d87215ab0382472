"""Train and resume from Python."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.api.guest import guest, plainly, words_of
from gan_exp.api.run import Place, Run, load, path_of
from gan_exp.config.hydra_support import label
from gan_exp.errors import UserError
from gan_exp.runs.new_directories import NewDirectories
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import usual_directory
from gan_exp.runtime.files import make_unique_directory
from gan_exp.runtime.paths import expand_user, is_directory
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import stop_if_asked

if TYPE_CHECKING:
    from gan_exp.config.schema import Config


@plainly
def train(
    overrides: Sequence[str] = (),
    directory: Place | None = None,
    *,
    config_dir: Place | None = None,
    trust: Sequence[str] = (),
) -> Run:
    """Train a new run, as `gan-exp train` does with the same words, and return it.

    `overrides` are key=value, such as ["model=dcgan", "steps=2000", "seed=1"]; `gan-exp train --help` lists the keys.
    The run's files are in `directory` (None: outputs/<date>/<time>-<name>). `config_dir` is a folder with YAML files of
    your own. `trust` names the modules of your own whose classes the configuration may name; the module of a notebook
    is `__main__`.

    In a notebook, progress and samples are shown below the cell; in a terminal, as the command shows them; never with
    "display=quiet". Ctrl-C, or the interruption of the kernel, saves a checkpoint and raises KeyboardInterrupt; then
    `resume` continues the run. Signals, torch's settings and random states are left as they were.

    Raises UserError for bad input, before anything is written, and TrainingFault for a run that can't go on.
    """
    words, trusted = _checked_words(overrides), words_of(trust, "trust", "mypackage")
    place = None if directory is None else str(expand_user(os.fspath(directory), "directory"))
    folders = [] if config_dir is None else [_folder(config_dir)]
    with guest(trusted) as visit:
        from gan_exp.training.session import start_run

        config = _composed(words, folders)
        new = NewDirectories([] if place is None else [place])
        visit.place = place or make_unique_directory(usual_directory(label(config.name)))
        with new.removed_if_unused(visit.place, made=place is None):
            start_run(config, visit.place, in_sweep=True, command=words)
    assert visit.place is not None
    return load(visit.place, trust=trusted)


@plainly
def resume(run: "Run | Place", overrides: Sequence[str] = (), *, trust: Sequence[str] = ()) -> Run:
    """Continue a run from its newest checkpoint, as if it had never stopped, and return it.

    `overrides` may change what leaves it the same experiment, such as ["steps=20000"]. A run that has finished, and is
    given no more steps, is returned as it is.

    Shows, raises and restores what `train` does.
    """
    trusted = [*words_of(trust, "trust", "mypackage"), *(run.trusted if isinstance(run, Run) else ())]
    path = RunDir.open(path_of(run)).path
    words = words_of(overrides, "overrides", "steps=20000")
    with guest(trusted) as visit:
        from gan_exp.training.resuming import resume_run

        refuse_multiple_processes("gan_exp.resume", each_says=True)
        visit.place = str(path)
        resume_run(RunDir(path), words, in_sweep=True)
    return load(path, trust=trusted)


def _composed(words: Sequence[str], config_dirs: Sequence[Path]) -> "Config":
    from gan_exp.config.check import check
    from gan_exp.config.compose import compose

    refuse_multiple_processes("gan_exp.train", each_says=True)
    config = check(compose(words, config_dirs).plain)
    stop_if_asked()
    return config


def _checked_words(overrides: Sequence[str]) -> list[str]:
    """As Hydra reads them. Raises UserError for those that it would not understand, and for options."""
    from gan_exp.config.mistakes.command_line import refuse_malformed
    from gan_exp.config.overrides import for_hydra

    words = words_of(overrides, "overrides", "model=dcgan")
    for before, word in zip(["", *words], words, strict=False):
        if word in ("-m", "--multirun"):
            raise UserError(
                f"{word}: a sweep trains its runs in processes of their own; use the command gan-exp train -m"
            )
        if word.startswith("-"):
            raise UserError(f"{word}: is an option of the command; here directory, config_dir and trust are arguments")
        if word.lstrip("+~").startswith("hydra"):
            raise UserError(f"{word}: is a setting of the command's Hydra; to choose the place, use directory='...'")
        refuse_malformed(word, before)
    return [for_hydra(word, sweeping=False) for word in words]


def _folder(config_dir: Place) -> Path:
    path = expand_user(os.fspath(config_dir), "config_dir")
    if not is_directory(path):
        raise UserError(f"config_dir={path}: no such folder; name the one that holds model/, dataset/, ...")
    return path
