"""One run, or the runs of a sweep, through Hydra: it composes their configurations, and each is checked and trained."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gan_exp.commands.cluster import Cluster, submit_run, submit_sweep
from gan_exp.commands.train_run import train_run
from gan_exp.config.catalog import conf_dir, config_dirs
from gan_exp.config.hydra_support import guard_python_3_14, register_resolvers
from gan_exp.config.mistakes.hydra_errors import explain
from gan_exp.config.targets import trusted_modules
from gan_exp.errors import UserError
from gan_exp.runs.new_directories import NewDirectories, given_places
from gan_exp.runtime.files import cannot_write
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import Interrupted, asked_to_stop, stop_if_asked
from gan_exp.sweeps.closing import show_closing
from gan_exp.sweeps.compose import checked_config
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.process import prepare
from gan_exp.sweeps.sweep import Sweep, compose_sweep, train_sweep
from gan_exp.sweeps.words import Choices


def launch(words: list[str], choices: Choices, cluster: Cluster | None = None, ranks: Ranks = ALONE) -> int:
    """Train what `words` ask for: Hydra's options and overrides. Returns 0, or the worst exit code of the runs.

    With `cluster` it is trained there, and this returns at once unless it waits.
    """
    import hydra

    from gan_exp.config.hydra_guard import guard_hydra

    stop_if_asked()
    constants: set[str] = set()  # filled when the words of the sweep are known
    new = NewDirectories(given_places(words))
    made = register_resolvers(constants)
    guard_python_3_14()
    sweeps: list[Sweep] = []  # at most one
    codes: list[int] = []  # of a run, at most one
    faults: list[Exception] = []  # at most one

    def sweep(loader: Any, config: Any, task_words: list[str]) -> None:
        refuse_multiple_processes("-m")
        if cluster is None:
            prepare()  # it imports torch while this process reads the configurations
        sweeps.append(_composed(loader, config, task_words, choices, constants, words))
        with suppress(Interrupted):  # it is told of when unused directories are removed
            if cluster is None:
                train_sweep(sweeps[0], choices)
            else:
                submit_sweep(sweeps[0], cluster)

    def task(config: Any) -> None:
        try:
            codes.append(_train(config, words, choices.may_continue, cluster, ranks))
        except Exception as error:  # Hydra would print lines of its own
            faults.append(error)

    guard_hydra(sweep, multirun=not {"-m", "--multirun"}.isdisjoint(words))
    try:
        with _hydras_process(words):
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
        for fault in faults:
            raise fault
    except Exception as error:
        explained = _explained(error, words)
        raise explained from (error if explained is not error else error.__cause__)
    finally:
        new.remove_unused(made)
    if not sweeps:
        return codes[0] if codes else 0
    return _close(sweeps[0], goes_on=cluster is not None and (not cluster.wait or asked_to_stop() is not None))


@contextmanager
def _hydras_process(words: list[str]) -> Iterator[None]:
    """Hydra reads the process's own command line, and prints errors its own way and exits unless it is asked not to."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before = sys.argv
    sys.argv = ["gan-exp", *words]
    try:
        yield
    finally:
        sys.argv = before


def _explained(error: Exception, words: list[str]) -> Exception:
    """The error in one sentence, where Hydra or the system raised it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(explain(error, words))
    if isinstance(error, OSError) and error.filename is not None:
        return cannot_write(Path(error.filename), error)
    return error


def _train(composed: Any, words: list[str], may_continue: bool, cluster: Cluster | None, ranks: Ranks) -> int:
    """One run, here or on the cluster."""
    from hydra.core.hydra_config import HydraConfig

    stop_if_asked()
    config = checked_config(composed)
    directory = HydraConfig.get().runtime.output_dir
    stop_if_asked()
    if cluster is not None:
        plain = config.model_dump(mode="json")
        return submit_run(Job(plain, directory, words=tuple(words), trusted=trusted_modules()), cluster)
    return train_run(config, directory, "start or continue" if may_continue else "start", words, ranks)


def _composed(
    loader: Any, config: Any, task_words: list[str], choices: Choices, constants: set[str], words: list[str]
) -> Sweep:
    options = [part for folder in config_dirs(words) for part in ("--config-dir", str(folder))]
    return compose_sweep(loader, config, task_words, choices, constants, options)


def _close(sweep: Sweep, goes_on: bool) -> int:
    """Print what became of the runs, unless it `goes_on` on a cluster. Raises Interrupted after a signal.

    Returns the worst exit code of the runs.
    """
    stopped_by = asked_to_stop()
    if not goes_on:
        show_closing(sweep.jobs, sweep.outcomes, sweep.directory, stopped_by, quiet=sweep.display == "quiet")
    if stopped_by is not None:
        raise Interrupted(stopped_by, reported=True)
    return max((1 if one.code < 0 else one.code for one in sweep.outcomes.values() if one.failed), default=0)
