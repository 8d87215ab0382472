"""`gan-exp train [key=value ...]`: a new run, or with -m one for each combination, through Hydra."""

import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gan_exp.commands.arguments import value_behind
from gan_exp.commands.directories import NewDirectories, given_places
from gan_exp.commands.mistakes import is_directory, no_override, unknown_flag
from gan_exp.commands.sweep import RESUMING, Outcome, Outcomes, find_begun, go_on, with_threads
from gan_exp.commands.train_help import help_text
from gan_exp.config.catalog import conf_dir, defaults, groups
from gan_exp.config.check import check
from gan_exp.config.hints import unknown_option
from gan_exp.config.hydra_support import (
    constant_keys,
    explain,
    guard_python_3_14,
    job_label,
    label,
    option_values,
    register_resolvers,
)
from gan_exp.config.overrides import apply_overrides, for_hydra
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import OUTPUTS
from gan_exp.runtime.files import cannot_write, make_unique_directory
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import Interrupted, asked_to_stop, noting, stop_if_asked
from gan_exp.runtime.terminal import report, say

# Hydra's own options: those with a value, those with a choice of values, and those without.
VALUED = ("--package", "-p", "--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
CHOICES = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
FLAGS = ("--multirun", "-m", "--run", "-r", "--resolve", "--hydra-help", "--help", "-h")
MODES = ("--multirun", "-m", "--run", "-r", *CHOICES)  # one of them at most
OURS = ("--trust", "--again")
NO_OPTION = r"(?i)true|false|null|[-+.\d]+"  # values that are no strings to Hydra, which a group's option must be


def run(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        print(help_text(*_topics(arguments)))
        return 0
    words, ours = _split(arguments)
    for word in words:
        if re.fullmatch(r"hydra\.(run|sweep)\.dir=\s*(''|\"\")?", word):
            raise UserError(f"{word}: is empty; name a directory, or leave it out")
    trust(ours["--trust"])
    refuse_multiple_processes()
    if ours["--again"]:
        return _run_again(ours["--again"][-1], words)
    return run_hydra(words)


def _topics(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """What help is asked about, and the folders of the user's own YAML."""
    extra = [Path(directory) for directory in option_values(arguments, ("--config-dir", "-cd"))]
    valued = (*OURS, *VALUED, *CHOICES)
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in valued], extra


def trust(modules: list[str]) -> None:
    """Let `_target_` name the user's own modules, here and in the processes of a parallel sweep."""
    if modules:
        os.environ[TRUST_VARIABLE] = ",".join([*filter(None, [os.environ.get(TRUST_VARIABLE)]), *modules])


def _split(arguments: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The words for Hydra, options first, and the values of our own options.

    Raises UserError for options that nobody knows: Hydra's argparse would print its usage and end the process. It also
    takes overrides in one piece only, wherever the options stand.
    """
    options: list[str] = []
    overrides: list[str] = []
    ours: dict[str, list[str]] = {option: [] for option in OURS}
    rest = iter(arguments)
    for word in rest:
        option, separator, value = word.partition("=")
        if not word.startswith("-"):
            _check_override(word, overrides[-1] if overrides else "")
            overrides.append(word)
        elif option in FLAGS and not separator:
            options.append(word)
        elif option in ("--info", "-i") and not separator:
            options.append("--info=all")
        elif option in OURS or option in VALUED or option in CHOICES:
            value = value if separator else next(rest, "")
            if not value:
                raise UserError(f"{option}: needs a value (see gan-exp train --help)")
            if option in CHOICES and value not in CHOICES[option]:
                raise UserError(f"{option} {value}: must be {' or '.join(CHOICES[option])}")
            if option in ("--config-dir", "-cd"):
                value = str(expand_user(value, option))
                if not is_directory(Path(value)):
                    raise UserError(f"{option} {value}: no such folder; name the one that holds model/, dataset/, ...")
            if option in OURS:
                ours[option].append(value)
            else:
                options += [option, value]
        else:
            known = [*OURS, *FLAGS, *CHOICES, *VALUED]
            fault = (
                f"{option}: takes no value"
                if option in FLAGS
                else unknown_flag(word, value_behind(word, arguments), known, settings=True)
            )
            raise UserError(f"{fault} (see gan-exp train --help)")
    modes = [option for option in options if option in MODES or option == "--info=all"]
    if len(modes) > 1:
        raise UserError(f"{' '.join(modes)}: only one of them at a time")
    if "--resolve" in options and not {"--cfg", "-c"} & set(modes):
        raise UserError("--resolve: says how --cfg prints, and needs it (gan-exp train --cfg job --resolve)")
    sweeping = bool({"-m", "--multirun"} & set(options)) or "hydra.mode=MULTIRUN" in overrides
    if not ours["--again"]:
        overrides = [for_hydra(word, sweeping) for word in overrides]
    return [*options, *overrides], ours


def _check_override(word: str, before: str) -> None:
    """What Hydra would take amiss without a sentence."""
    key, separator, value = word.partition("=")
    if not separator and not word.startswith("~"):
        raise UserError(no_override(word, before))
    if separator and key.lstrip("+~")[:1] in ("", "@"):
        raise UserError(f"{word}: has no key; it must be written key=value, such as model=mlp")
    if re.fullmatch(NO_OPTION, value) and defaults().get(key.lstrip("+")) is not None:
        raise UserError(unknown_option(key.lstrip("+"), value, groups()[key.lstrip("+")]))


def _run_again(path: str, overrides: list[str]) -> int:
    """A new run with the configuration of an old one."""
    from datetime import datetime

    from gan_exp.training.session import start_run

    places = [word.partition("=")[2] for word in overrides if word.startswith("hydra.run.dir=")]
    overrides = [word for word in overrides if not word.startswith("hydra.run.dir=")]
    config = check(apply_overrides(RunDir.open(path).read_config(), overrides))
    stop_if_asked()
    new = NewDirectories([str(expand_user(place, "hydra.run.dir")) for place in places])
    usual = f"{OUTPUTS}/{datetime.now():%Y-%m-%d/%H-%M-%S}-{label(config.name)}"
    directory = str(expand_user(places[-1], "hydra.run.dir")) if places else make_unique_directory(usual)
    with new.removed_if_unused(directory, made=not places):
        start_run(config, directory)
    return 0


def run_hydra(words: list[str]) -> int:
    """0, or the worst of what the runs came to."""
    import hydra

    from gan_exp.config.hydra_guard import guard_hydra

    stop_if_asked()
    outcomes = Outcomes([word for word in words if "=" in word and not word.startswith(("-", "hydra"))])
    constants = constant_keys(outcomes.words)
    new = NewDirectories(given_places(words))
    made = register_resolvers(constants)
    guard_python_3_14()
    returned = guard_hydra()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors its own way and exits
    before = sys.argv
    sys.argv = ["gan-exp", *words]

    def task(config: Any) -> Outcome:
        return _task(outcomes, constants, words, config)

    interruption: Interrupted | None = None
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except Interrupted as interrupted:
        interruption = interrupted
    except Exception as error:
        stopped_by = asked_to_stop()
        if stopped_by is None or not {"-m", "--multirun"} & set(words):
            raise _explained(error, words) from error
        # The signal has ended the processes of a parallel sweep, each in its way.
        interruption = Interrupted(stopped_by)
        for directory in [*made, *given_places(words)]:
            outcomes.look_around(directory)
    finally:
        sys.argv = before
        new.remove_unused(made)
    if returned and not outcomes.runs:  # of other processes
        outcomes.runs = [job.return_value for job in returned]
        outcomes.directory = str(returned[0].hydra_cfg.hydra.sweep.dir)
    return _close(outcomes, interruption)


def _close(outcomes: Outcomes, interruption: Interrupted | None) -> int:
    """Tell what a sweep came to. Raises Interrupted where a signal has ended it."""
    stopped_by = asked_to_stop() if any(run.code > 2 for run in outcomes.runs) else None
    if interruption is not None:
        stopped_by = interruption.signal
    outcomes.report(stopped_by)
    if stopped_by is not None:
        reported = outcomes.directory is not None or (interruption is not None and interruption.reported)
        raise Interrupted(stopped_by, reported)
    return outcomes.code


def _explained(error: Exception, words: list[str]) -> Exception:
    """In one sentence, where it is Hydra's or the system's."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(explain(error, words))
    if isinstance(error, AssertionError):  # of Hydra's sweeper, on its own settings
        return UserError(f"{' '.join(words)}: Hydra can't run this ({error or 'it says no more'})")
    if isinstance(error, OSError) and error.filename is not None:
        return cannot_write(Path(error.filename), error)
    return error


def _task(outcomes: Outcomes, constants: Collection[str], words: list[str], config: Any) -> Outcome:
    """One run, as Hydra hands it over; a sweep goes on after one that failed.

    In a parallel sweep this is another process, which raises nothing of a run: its launcher would end the others. A
    signal there lasts, so that the runs that come after it don't begin.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    from gan_exp.diagnosis.divergence import Divergence

    job = HydraConfig.get()
    if job.mode is not RunMode.MULTIRUN:
        number, label, which, elsewhere = 0, "", "", False
    else:
        outcomes.directory = job.sweep.dir
        number, label = job.job.num, job_label(job.overrides.task, constants)
        which = f"run {number}{f' ({label})' if label else ''}: "
        elsewhere = _is_elsewhere(job.launcher._target_)
        words = [*_config_dirs(words), *job.overrides.task]
        if asked_to_stop() is None:
            say(f"sweep: {which.rstrip(': ')}")
    code, can_go_on = 0, False
    try:
        with noting(for_good=elsewhere):
            _train(config, job.runtime.output_dir, words, Path(job.sweep.dir) if which else None, elsewhere)
    except (UserError, TrainingFault, OmegaConfBaseException) as error:
        report(which + explain(error, job.overrides.task))
        code = 1 if isinstance(error, TrainingFault) else 2
        can_go_on = code == 1 and not isinstance(error, Divergence)  # what has diverged would do so again
    except Interrupted as interruption:
        code, can_go_on = interruption.exit_code, interruption.reported
        if not elsewhere:
            outcomes.runs.append(Outcome(number, label, code, can_go_on))
            raise
    outcome = Outcome(number, label, code, can_go_on)
    outcomes.runs.append(outcome)
    return outcome


def _is_elsewhere(launcher: str) -> bool:
    """Whether it trains in other processes."""
    return not launcher.endswith("BasicLauncher")


def _config_dirs(words: list[str]) -> list[str]:
    found = option_values(words, ("--config-dir", "-cd"))
    return [word for directory in found for word in ("--config-dir", directory)]


def _train(config: Any, directory: str, words: list[str], sweep: Path | None, elsewhere: bool) -> None:
    """Resolve, check, train; in a `sweep`, go on with what has begun."""
    from omegaconf import OmegaConf

    stop_if_asked()
    refuse_multiple_processes()
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    if "experiment" in plain:
        raise UserError("experiment: its keys belong to the root; its file must begin with `# @package _global_`")
    checked = check({str(key): value for key, value in plain.items()})
    stop_if_asked()
    if sweep is not None and RESUMING in os.environ:
        begun = find_begun(sweep, RunDir(directory), checked, words)
        if begun is not None:
            return go_on(checked, begun)
    if sweep is not None and not elsewhere:
        checked = with_threads(checked, sweep)

    from gan_exp.training.session import start_run

    return start_run(checked, directory, in_sweep=sweep is not None, command=words)
