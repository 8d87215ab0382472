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
from gan_exp.errors import TrainingFault, UserError, did_you_mean, unknown_key
from gan_exp.run_dir import RunDir, cannot_write, make_unique_directory

# Hydra's own options: those with a value, and those without.
VALUED = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
FLAGS = ("--multirun", "-m", "--run", "-r", "--resolve", "--info", "-i", "--hydra-help", "--experimental-rerun")
OURS = ("--help", "-h", "--trust", "--again")


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
    """The words for Hydra, and the values of our own options. Raises UserError for options that nobody knows."""
    words: list[str] = []
    ours: dict[str, list[str]] = {"--trust": [], "--again": []}
    rest = iter(arguments)
    for word in rest:
        option, separator, value = word.partition("=")
        if option in ours:
            value = value if separator else next(rest, "")
            if not value:
                raise UserError(f"{option}: needs a value (see gan-exp train --help)")
            ours[option].append(value)
        elif option in VALUED:
            words.append(word)
            if not separator:
                value = next(rest, "")
                if not value:
                    raise UserError(f"{option}: needs a value (see gan-exp train --help)")
                words.append(value)
        elif word.startswith("-") and option not in (*FLAGS, *OURS, "--info"):
            raise UserError(unknown_option(word, [*OURS, *FLAGS, *VALUED]) + " (see gan-exp train --help)")
        elif not word.startswith(("-", "~")) and not separator:
            hint = next((f"{group}={word}" for group, options in groups().items() if word in options), "model=mlp")
            raise UserError(f"{word}: must be written key=value, such as {hint}")
        else:
            words.append(word)
    return words, ours


def _values(words: list[str], options: tuple[str, ...]) -> list[str]:
    found = [after for word, after in pairwise(words) if word in options]
    return found + [word.split("=", 1)[1] for word in words if word.split("=", 1)[0] in options and "=" in word]


def _run_again(path: str, overrides: list[str]) -> int:
    """A new run with the configuration of an old one."""
    from datetime import datetime

    from gan_exp.overrides import apply_overrides
    from gan_exp.session import start_run

    config = check(apply_overrides(RunDir.open(path).read_config(), overrides))
    directory = make_unique_directory(f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}-{config.name}")
    with _removing_if_empty(directory):
        start_run(config, directory)
    return 0


def _run_hydra(words: list[str]) -> int:
    """0, or the worst of what the runs came to."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register_resolvers()
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
        sentence = explain(error, job.overrides.task)
        print(f"gan-exp: {which}{sentence}", file=sys.stderr)
        codes.append(1 if isinstance(error, TrainingFault) else 2)
    return None


def _train(config: Any, directory: str) -> None:
    """Resolve, check, train."""
    from omegaconf import OmegaConf

    with _removing_if_empty(directory):
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        plain.pop("experiment", None)
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


def register_resolvers() -> None:
    """`gan_exp.new_directory` makes a directory that no other run has; `gan_exp.label` makes words a file's name.

    Cached, so that a configuration that is sent to another process means the same directory there.
    """
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("gan_exp.new_directory", make_unique_directory, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("gan_exp.label", label, replace=True)


def label(overrides: str) -> str:
    """A job's overrides as part of a directory's name."""
    return re.sub(r"[^\w.,=+-]+", "_", overrides)[:100]


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
    text = " ".join(str(error).split())
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
