"""One run, or the runs of a sweep, through Hydra: it composes their configurations, and each is checked and trained."""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from gan_exp.commands.directories import NewDirectories, given_places
from gan_exp.commands.sweep_outcomes import Outcome, Outcomes
from gan_exp.commands.sweep_runs import find_begun, go_on, is_resuming, with_threads
from gan_exp.config.catalog import conf_dir, config_dirs
from gan_exp.config.check import check
from gan_exp.config.hydra_support import constant_keys, guard_python_3_14, job_label, register_resolvers
from gan_exp.config.mistakes.hydra_errors import explain
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import cannot_write
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import Interrupted, asked_to_stop, recording_signals, stop_if_asked
from gan_exp.runtime.terminal import report, say


def launch(words: list[str]) -> int:
    """Train what `words` ask for: Hydra's options and overrides. Returns 0, or the worst exit code of the runs."""
    import hydra

    from gan_exp.config.hydra_guard import guard_hydra

    stop_if_asked()
    outcomes = Outcomes([word for word in words if "=" in word and not word.startswith(("-", "hydra"))])
    constants = constant_keys(outcomes.words)
    new = NewDirectories(given_places(words))
    made = register_resolvers(constants)
    guard_python_3_14()
    returned = guard_hydra()

    def task(config: Any) -> Outcome:
        return _task(outcomes, constants, words, config)

    interruption: Interrupted | None = None
    try:
        with _hydras_process(words):
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except Interrupted as interrupted:
        interruption = interrupted
    except Exception as error:
        stopped_by = asked_to_stop()
        if stopped_by is None or not {"-m", "--multirun"} & set(words):
            raise _explained(error, words) from error
        # The signal has ended the processes of a parallel sweep.
        interruption = Interrupted(stopped_by)
        for directory in [*made, *given_places(words)]:
            outcomes.look_around(directory)
    finally:
        new.remove_unused(made)
    if returned and not outcomes.runs:  # of other processes
        outcomes.runs = [job.return_value for job in returned]
        outcomes.directory = str(returned[0].hydra_cfg.hydra.sweep.dir)
    return _close(outcomes, interruption)


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


def _close(outcomes: Outcomes, interruption: Interrupted | None) -> int:
    """Report the outcomes of a sweep. Raises Interrupted if a signal has ended it."""
    stopped_by = asked_to_stop() if any(run.code > 2 for run in outcomes.runs) else None
    if interruption is not None:
        stopped_by = interruption.signal
    outcomes.report(stopped_by)
    if stopped_by is not None:
        reported = outcomes.directory is not None or (interruption is not None and interruption.reported)
        raise Interrupted(stopped_by, reported)
    return outcomes.code


def _explained(error: Exception, words: list[str]) -> Exception:
    """The error in one sentence, where Hydra or the system raised it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(explain(error, words))
    if isinstance(error, AssertionError):  # of Hydra's sweeper, on its own settings
        return UserError(f"{' '.join(words)}: Hydra can't run this ({error or 'no reason given'})")
    if isinstance(error, OSError) and error.filename is not None:
        return cannot_write(Path(error.filename), error)
    return error


class _Job(NamedTuple):
    """The run that Hydra hands over."""

    directory: str
    overrides: list[str]  # its own
    sweep: str | None = None  # the directory of the sweep that it is in
    number: int = 0
    label: str = ""
    elsewhere: bool = False  # in a process of a parallel sweep

    @property
    def name(self) -> str:
        return f"run {self.number}{f' ({self.label})' if self.label else ''}"


def _current_job(constants: Collection[str]) -> _Job:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    hydra = HydraConfig.get()
    try:
        overrides = list(hydra.overrides.task)
    except OmegaConfBaseException:  # one interpolates a missing key, for which the run is refused
        overrides = cast(list[str], OmegaConf.to_container(hydra.overrides.task, resolve=False))
    job = _Job(hydra.runtime.output_dir, overrides)
    if hydra.mode is not RunMode.MULTIRUN:
        return job
    return job._replace(
        sweep=hydra.sweep.dir,
        number=hydra.job.num,
        label=job_label(job.overrides, constants),
        elsewhere=_is_elsewhere(hydra.launcher._target_),
    )


def _is_elsewhere(launcher: str) -> bool:
    """Whether the launcher trains in other processes."""
    return not launcher.endswith("BasicLauncher")


def _task(outcomes: Outcomes, constants: Collection[str], words: list[str], config: Any) -> Outcome:
    """One run; a sweep goes on after one that failed.

    In a parallel sweep this is another process, which raises nothing of a run: its launcher would end the others. A
    signal there lasts, so that the runs that come after it don't begin.
    """
    from omegaconf.errors import OmegaConfBaseException

    from gan_exp.diagnosis.divergence import Divergence

    job = _current_job(constants)
    if job.sweep is not None:
        outcomes.directory = job.sweep
        words = [*(part for folder in config_dirs(words) for part in ("--config-dir", str(folder))), *job.overrides]
        if asked_to_stop() is None:
            say(f"sweep: {job.name}")
    code, can_go_on = 0, False
    try:
        with recording_signals(for_good=job.elsewhere):
            _train(config, job, words)
    except (UserError, TrainingFault, OmegaConfBaseException) as error:
        report(f"{'' if job.sweep is None else f'{job.name}: '}{explain(error, job.overrides)}")
        code = 1 if isinstance(error, TrainingFault) else 2
        can_go_on = code == 1 and not isinstance(error, Divergence)  # it would diverge again
    except Interrupted as interruption:
        code, can_go_on = interruption.exit_code, interruption.reported
        if not job.elsewhere:
            outcomes.runs.append(Outcome(job.number, job.label, code, can_go_on))
            raise
    outcome = Outcome(job.number, job.label, code, can_go_on)
    outcomes.runs.append(outcome)
    return outcome


def _train(config: Any, job: _Job, words: list[str]) -> None:
    """Resolve, check, train; in a sweep that is resumed, continue the runs that have begun."""
    from omegaconf import OmegaConf

    stop_if_asked()
    refuse_multiple_processes()
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    if "experiment" in plain:
        raise UserError("experiment: its keys belong to the root; its file must begin with `# @package _global_`")
    checked = check({str(key): value for key, value in plain.items()})
    stop_if_asked()
    if job.sweep is not None:
        sweep = Path(job.sweep)
        begun = find_begun(sweep, RunDir(job.directory), checked, words) if is_resuming() else None
        if begun is not None:
            return go_on(checked, begun)
        if not job.elsewhere:
            checked = with_threads(checked, sweep)

    from gan_exp.training.session import start_run
    from gan_exp.training.start_or_continue import start_or_continue

    train = start_or_continue if is_resuming() else start_run
    return train(checked, job.directory, in_sweep=job.sweep is not None, command=words)
