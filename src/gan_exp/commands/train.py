"""`gan-exp train [key=value ...]`: a new run, or with -m one for each combination, through Hydra."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from gan_exp.catalog import conf_dir, defaults, describe, groups, known_keys, root_keys
from gan_exp.commands.arguments import unknown_option
from gan_exp.config import TRUST_VARIABLE, check
from gan_exp.errors import TrainingFault, UserError, did_you_mean, tell, unknown_key
from gan_exp.run_dir import RunDir, cannot_write, make_unique_directory

# Hydra's own options: those with a value, those with a choice of values, and those without.
VALUED = ("--package", "-p", "--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
CHOICES = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
FLAGS = ("--multirun", "-m", "--run", "-r", "--resolve", "--hydra-help", "--help", "-h")
MODES = ("--multirun", "-m", "--run", "-r", *CHOICES)  # one of them at most
OURS = ("--trust", "--again")


def run(arguments: list[str]) -> int:
    words, ours = _split(arguments)
    trust(ours["--trust"])
    if "--help" in words or "-h" in words:
        print(help_text([Path(directory) for directory in _values(words, ("--config-dir", "-cd"))]))
        return 0
    if ours["--again"]:
        return _run_again(ours["--again"][-1], words)
    return _run_hydra(words)


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
            _check_override(word)
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
            if option in OURS:
                ours[option].append(value)
            else:
                options += [option, value]
        else:
            fault = (
                f"{option}: takes no value"
                if option in FLAGS
                else unknown_option(word, [*OURS, *FLAGS, *CHOICES, *VALUED])
            )
            raise UserError(f"{fault} (see gan-exp train --help)")
    modes = [option for option in options if option in MODES or option == "--info=all"]
    if len(modes) > 1:
        raise UserError(f"{' '.join(modes)}: only one of them at a time")
    if "--resolve" in options and not {"--cfg", "-c"} & set(modes):
        raise UserError("--resolve: says how --cfg prints, and needs it (gan-exp train --cfg job --resolve)")
    return [*options, *overrides], ours


def _check_override(word: str) -> None:
    """What Hydra would take amiss without a sentence."""
    key, separator, value = word.partition("=")
    if not separator and not word.startswith("~"):
        hint = next((f"{group}={word}" for group, options in groups().items() if word in options), "model=mlp")
        raise UserError(f"{word}: must be written key=value, such as {hint}")
    if separator and key.lstrip("+~")[:1] in ("", "@"):
        raise UserError(f"{word}: has no key; it must be written key=value, such as model=mlp")
    if value == "null" and defaults().get(key.lstrip("+")) is not None:
        raise UserError(f"{word}: must be one of {', '.join(groups()[key.lstrip('+')])}")


def _values(words: list[str], options: tuple[str, ...]) -> list[str]:
    found = [after for word, after in pairwise(words) if word in options]
    return found + [word.split("=", 1)[1] for word in words if word.split("=", 1)[0] in options and "=" in word]


def _run_again(path: str, overrides: list[str]) -> int:
    """A new run with the configuration of an old one."""
    from datetime import datetime

    from gan_exp.overrides import apply_overrides
    from gan_exp.session import start_run

    places = [word.partition("=")[2] for word in overrides if word.startswith("hydra.run.dir=")]
    overrides = [word for word in overrides if not word.startswith("hydra.run.dir=")]
    config = check(apply_overrides(RunDir.open(path).read_config(), overrides))
    usual = f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}-{config.name}"
    directory = places[-1] if places else make_unique_directory(usual)
    with _removing_if_empty(directory):
        start_run(config, directory)
    return 0


def _run_hydra(words: list[str]) -> int:
    """0, or the worst of what the runs came to."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    made = register_resolvers()
    _guard_python_3_14()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors its own way and exits
    before = sys.argv
    sys.argv = ["gan-exp", *words]
    codes: list[int] = []

    def task(config: Any) -> None:
        _task(config, codes)

    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, words)) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise cannot_write(Path(error.filename), error) from error
    finally:
        sys.argv = before
        for directory in made:
            _remove_if_idle(Path(directory))
    failed = sum(code != 0 for code in codes)
    if len(codes) > 1:
        print(f"sweep: {len(codes) - failed} of {len(codes)} runs finished")
    return max(codes, default=0)


def _task(config: Any, codes: list[int]) -> None:
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
        return _train(config, job.runtime.output_dir)
    which = f"run {job.job.num} ({job.job.override_dirname}): " if sweeping else ""
    if sweeping:
        print(f"sweep: {which.rstrip(': ')}", flush=True)
    try:
        _train(config, job.runtime.output_dir)
        codes.append(0)
    except (UserError, TrainingFault, OmegaConfBaseException) as error:
        tell(which + explain(error, job.overrides.task))
        codes.append(1 if isinstance(error, TrainingFault) else 2)
    return None


def _train(config: Any, directory: str) -> None:
    """Resolve, check, train."""
    from omegaconf import OmegaConf

    with _removing_if_empty(directory):
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        if "experiment" in plain:
            raise UserError("experiment: its keys belong to the root; its file must begin with `# @package _global_`")
        checked = check({str(key): value for key, value in plain.items()})

        from gan_exp.session import start_run

        start_run(checked, directory)


class _removing_if_empty:  # noqa: N801  (reads as a phrase where it is used)
    """Bad input must leave nothing behind: Hydra makes the directory before anyone has looked at the values."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(OSError):
                self.directory.rmdir()
                self.directory.parent.rmdir()


def _remove_if_idle(directory: Path) -> None:
    """A sweep none of whose runs began leaves Hydra's record of it alone in its directory."""
    with suppress(OSError):
        if [path.name for path in directory.iterdir()] == ["multirun.yaml"]:
            (directory / "multirun.yaml").unlink()
        directory.rmdir()
        directory.parent.rmdir()


def register_resolvers() -> list[str]:
    """`gan_exp.new_directory` makes a directory that no other run has; `gan_exp.label` makes words a file's name.

    Cached, so that a configuration that is sent to another process means the same directory there. Returns the list
    of the directories that will have been made.
    """
    from omegaconf import OmegaConf

    made: list[str] = []

    def new_directory(wanted: str) -> str:
        made.append(make_unique_directory(wanted))
        return made[-1]

    OmegaConf.register_new_resolver("gan_exp.new_directory", new_directory, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("gan_exp.label", label, replace=True)
    return made


def label(overrides: object) -> str:
    """A run's name or a job's overrides as part of a directory's name."""
    return re.sub(r"[^\w.,=+-]+", "_", str(overrides))[:100]


def _guard_python_3_14() -> None:
    """Hydra 1.3 hands argparse a help object that is no string, which Python 3.14's argparse looks into and fails.

    Hydra 1.4 mends it; until then the check is skipped for such objects. Nothing changes on older Pythons.
    """
    import argparse

    original: Callable[..., Any] | None = getattr(argparse.ArgumentParser, "_check_help", None)
    if original is None or getattr(original, "skips_objects", False):
        return

    def check_help(self: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            original(self, action)

    check_help.skips_objects = True  # type: ignore[attr-defined]
    argparse.ArgumentParser._check_help = check_help  # type: ignore[attr-defined]


def explain(error: BaseException, words: list[str]) -> str:
    """One sentence for what Hydra or OmegaConf raised."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError | TrainingFault):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    text = re.sub(r" full_key: (\S+) object_type=\w+$", r" (in \1)", " ".join(str(error).split()))
    if text.startswith("Ambiguous value for argument"):
        values = text.split("'")[1]
        return f"{values}: several values are a sweep, which -m runs one by one; a list is written key=[value1,value2]"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: can't be read as key=value ({' '.join(str(error.message).split())})"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        name = str(error.missing_cfg_file)
        group, _, option = name.rpartition("/")
        options = list(error.options or ())
        return (
            f"{group}={option}: no such option; {did_you_mean(option, options)}" if group else f"{name}: no such file"
        )
    missing = isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError)
    key = getattr(error.__cause__, "full_key", None) if missing else _unknown_group(text)
    if key:
        extra = [Path(directory) for directory in _values(words, ("--config-dir", "-cd"))]
        overrides = [word.lstrip("+") for word in words]
        return unknown_key(str(key), known_keys(overrides, extra))
    return text or type(error).__name__


def _unknown_group(text: str) -> str | None:
    found = re.search(r"(?:Could not override|No match in the defaults list for) '([^'@]+)'", text)
    return found[1] if found else None


def help_text(extra: list[Path]) -> str:
    """Groups with their options, and the keys of the root, read from the YAML files."""
    chosen = defaults()
    lines = [
        "usage: gan-exp train [group=option ...] [key=value ...] [option ...]",
        "",
        "Train a GAN. With nothing said: the digits that come with the tool, on the best device there is.",
        "",
        "  gan-exp train model=mlp lr=2e-4                       one run",
        "  gan-exp train -m lr=1e-4,2e-4 model=mlp,dcgan         every combination, one after the other",
        "  gan-exp train optimizer.discriminator.lr=4e-4         a key inside a group",
        "  gan-exp train experiment=article                      a recipe",
        "",
        "groups (* is chosen where you choose nothing):",
    ]
    for group, options in groups(extra).items():
        lines.append(f"  {group}")
        for option, path in options.items():
            mark = "*" if chosen.get(group) == option else " "
            lines.append(f"   {mark}{option:<16}{describe(path)}")
    lines += ["", "keys:"]
    lines += [f"  {key:<24}{value:<12}{comment}" for key, value, comment in root_keys() if not value.startswith("$")]
    lines += [
        "",
        "options:",
        "  -m, --multirun        one run for each combination of the values given with commas",
        "  --cfg job             print the configuration that would be used, and stop",
        "  --config-dir DIR      YAML files of your own, in folders named as the groups",
        "  --trust MODULE        let `_target_` in your YAML name classes of your own MODULE",
        "  --again RUN           a new run with the configuration of an old one",
        "  hydra.run.dir=DIR     where the run goes instead of outputs/<date>/<time>-<name>",
        "  --info, --hydra-help  what Hydra itself has to say",
    ]
    return "\n".join(lines)
