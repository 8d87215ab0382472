"""`gan-exp train [key=value ...]`: a new run, or with -m one for each combination, through Hydra."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from gan_exp.catalog import conf_dir, defaults, groups
from gan_exp.commands.arguments import value_behind
from gan_exp.commands.directories import NewDirectories, given_places
from gan_exp.commands.mistakes import is_directory, no_override, unknown_flag
from gan_exp.commands.sweep import RESUMING, Outcomes, go_on
from gan_exp.commands.train_help import help_text
from gan_exp.config import TRUST_VARIABLE, check
from gan_exp.errors import TrainingFault, UserError, tell
from gan_exp.hints import unknown_option
from gan_exp.hydra_support import explain, guard_python_3_14, label, option_values, register_resolvers
from gan_exp.overrides import apply_overrides, for_hydra
from gan_exp.places import expanded
from gan_exp.run_dir import RunDir, cannot_write, make_unique_directory
from gan_exp.run_names import OUTPUTS
from gan_exp.signals import Interrupted, raising_interrupted

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
    trust(ours["--trust"])
    with raising_interrupted():
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
                value = str(expanded(value, option))
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

    from gan_exp.session import start_run

    places = [word.partition("=")[2] for word in overrides if word.startswith("hydra.run.dir=")]
    overrides = [word for word in overrides if not word.startswith("hydra.run.dir=")]
    config = check(apply_overrides(RunDir.open(path).read_config(), overrides))
    new = NewDirectories([str(expanded(place, "hydra.run.dir")) for place in places])
    usual = f"{OUTPUTS}/{datetime.now():%Y-%m-%d/%H-%M-%S}-{label(config.name)}"
    directory = str(expanded(places[-1], "hydra.run.dir")) if places else make_unique_directory(usual)
    with new.removed_if_unused(directory, made=not places):
        start_run(config, directory)
    return 0


def run_hydra(words: list[str]) -> int:
    """0, or the worst of what the runs came to."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from gan_exp.hydra_guard import guard_hydra

    new = NewDirectories(given_places(words))
    made = register_resolvers()
    guard_python_3_14()
    guard_hydra()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors its own way and exits
    before = sys.argv
    sys.argv = ["gan-exp", *words]
    outcomes = Outcomes([word for word in words if "=" in word and not word.startswith(("-", "hydra"))])

    def task(config: Any) -> None:
        _task(outcomes, config)

    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except Interrupted as interruption:
        outcomes.tell(interruption)
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, words)) from error
    except AssertionError as error:  # of Hydra's sweeper, on its own settings
        raise UserError(f"{' '.join(words)}: Hydra can't run this ({error or 'it says no more'})") from error
    except OSError as error:
        if error.filename is None:
            raise
        raise cannot_write(Path(error.filename), error) from error
    finally:
        sys.argv = before
        new.remove_unused(made)
    outcomes.tell()
    return max(outcomes.codes, default=0)


def _task(outcomes: Outcomes, config: Any) -> None:
    """One run, as Hydra hands it over.

    Where Hydra runs the jobs here, a failed one is told here and the sweep goes on; elsewhere (joblib, Slurm) the
    launcher must see the exception.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    job = HydraConfig.get()
    sweeping = job.mode is RunMode.MULTIRUN
    if sweeping and not job.launcher._target_.endswith("BasicLauncher"):
        return _train(config, job.runtime.output_dir, in_sweep=True)
    which = f"run {job.job.num} ({job.job.override_dirname}): " if sweeping else ""
    if sweeping:
        outcomes.directory = job.sweep.dir
        print(f"sweep: {which.rstrip(': ')}", flush=True)
    try:
        _train(config, job.runtime.output_dir, in_sweep=sweeping)
        outcomes.codes.append(0)
    except (UserError, TrainingFault, OmegaConfBaseException) as error:
        tell(which + explain(error, job.overrides.task))
        outcomes.codes.append(1 if isinstance(error, TrainingFault) else 2)
    return None


def _train(config: Any, directory: str, in_sweep: bool) -> None:
    """Resolve, check, train."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    if "experiment" in plain:
        raise UserError("experiment: its keys belong to the root; its file must begin with `# @package _global_`")
    checked = check({str(key): value for key, value in plain.items()})
    run = RunDir(directory)
    if RESUMING in os.environ and run.config.exists():
        return go_on(checked, run)

    from gan_exp.session import start_run

    return start_run(checked, directory, in_sweep)
