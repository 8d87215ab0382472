"""The words of `gan-exp train`: Hydra's options, our own, and overrides as key=value."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gan_exp.commands.arguments import value_behind
from gan_exp.config.mistakes.command_line import refuse_malformed, unknown_flag
from gan_exp.config.overrides import as_written, for_hydra, quoted
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user, is_directory
from gan_exp.sweeps.words import Choices, choices

# Hydra's own options: those with a value, those with a choice of values, and those without.
VALUED = ("--package", "-p", "--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
CHOICES = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
FLAGS = ("--multirun", "-m", "--run", "-r", "--resolve", "--hydra-help", "--help", "-h")
MODES = ("--multirun", "-m", "--run", "-r", *CHOICES)  # one of them at most
OF_CLUSTER = ("--slurm", "--wait")  # taken before by `cluster.take_cluster`
OF_A_SWEEP = ("--jobs", "--on-failure", "--zip")
OURS = ("--trust", "--again", "--from", "--keep", "--continue", *OF_A_SWEEP)
WITH_VALUE = (*OURS, *VALUED, *CHOICES)
SEE_HELP = "(see gan-exp train --help)"


class Start(NamedTuple):
    run: str  # whose weights a new one starts from, and whose configuration it has unless `again` names another
    keep: list[str] | None  # what it takes over beside the weights; None: what the configuration says


class Words(NamedTuple):
    for_hydra: list[str]  # options first: Hydra takes overrides in one piece only, wherever the options stand
    trust: list[str]  # the user's own modules
    again: str | None  # the run whose configuration a new one shall have
    start: Start | None
    choices: Choices


def parse(arguments: Sequence[str]) -> Words:
    """Raises UserError for unknown options, at which Hydra's argparse would print its usage and end the process."""
    options: list[str] = []
    overrides: list[str] = []
    ours: dict[str, list[str]] = {option: [] for option in OURS}
    rest = iter(arguments)
    for word in rest:
        option, separator, value = word.partition("=")
        if option == "on_failure" and separator:
            ours["--on-failure"].append(value)
        elif not word.startswith("-"):
            refuse_malformed(word, overrides[-1] if overrides else "")
            overrides.append(word)
        elif option in FLAGS and not separator:
            options.append(word)
        elif option in ("--info", "-i") and not separator:
            options.append("--info=all")
        elif option in WITH_VALUE:
            value = _checked_value(option, value if separator else next(rest, ""))
            if option in OURS:
                ours[option].append(value)
            else:
                options += [option, value]
        else:
            raise UserError(_no_option(word, arguments))
    _check_modes(options)
    if any(pair in (("--cfg", "job"), ("-c", "job")) for pair in pairwise(options)) and "--resolve" not in options:
        options.append("--resolve")  # defaults that depend on other keys are shown as they will be
    again, start = ours["--again"][-1] if ours["--again"] else None, _start(ours)
    like_another = again is not None or start is not None
    sweeping = bool({"-m", "--multirun"} & set(options)) or "hydra.mode=MULTIRUN" in overrides
    if like_another and sweeping:
        option, key = ("--again", "lr=1e-4,2e-4") if start is None else ("--from", f"start_from={start.run}")
        raise UserError(f"{option}: is for a single run; for a sweep write all settings as words: -m {key} ...")
    if not like_another:
        overrides = [for_hydra(word, sweeping) for word in overrides]
    if ours["--continue"]:
        overrides.append(_place(ours["--continue"][-1], overrides, sweeping, raw=like_another))
    for option in OF_A_SWEEP:
        if ours[option] and not sweeping:
            raise UserError(f"{option} {ours[option][-1]}: is for the runs of a sweep, which -m makes")
    return Words([*options, *overrides], ours["--trust"], again, start, _choices(ours))


def _start(ours: Mapping[str, Sequence[str]]) -> Start | None:
    if not ours["--from"]:
        if ours["--keep"]:
            raise UserError(f"--keep {ours['--keep'][-1]}: says what to take over of the run that --from names")
        return None
    if not ours["--keep"]:
        return Start(ours["--from"][-1], None)
    keep = [part for part in ours["--keep"][-1].split(",") if part not in ("", "none")]
    for part in keep:
        if part not in ("average", "optimizers", "augment"):
            raise UserError(f"--keep {part}: must be average, optimizers or augment, several with commas, or none")
    return Start(ours["--from"][-1], keep)


def _choices(ours: Mapping[str, Sequence[str]]) -> Choices:
    jobs, on_failure = (ours[option][-1] if ours[option] else None for option in ("--jobs", "--on-failure"))
    return choices(jobs, on_failure, ours["--zip"], may_continue=bool(ours["--continue"]))


def help_topics(arguments: Sequence[str]) -> list[str]:
    """The topics of --help: the words that are neither options nor their values."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in WITH_VALUE]


def _checked_value(option: str, value: str) -> str:
    if not value:
        raise UserError(f"{option}: needs a value {SEE_HELP}")
    if option in CHOICES and value not in CHOICES[option]:
        raise UserError(f"{option} {value}: must be {' or '.join(CHOICES[option])}")
    if option in ("--config-dir", "-cd"):
        value = str(expand_user(value, option))
        if not is_directory(Path(value)):
            raise UserError(f"{option} {value}: no such folder; name the one that holds model/, dataset/, ...")
    return value


def _place(directory: str, overrides: Sequence[str], sweeping: bool, raw: bool) -> str:
    """The override that makes Hydra use the directory of --continue."""
    for word in overrides:
        if word.startswith(("hydra.run.dir=", "hydra.sweep.dir=")):
            raise UserError(
                f"{as_written(word)}: --continue {directory} names the directory already; leave one of them out"
            )
    directory = str(expand_user(directory, "--continue"))
    return f"hydra.{'sweep' if sweeping else 'run'}.dir={directory if raw else quoted(directory)}"


def _no_option(word: str, arguments: Sequence[str]) -> str:
    option = word.partition("=")[0]
    if option in FLAGS:
        return f"{option}: takes no value {SEE_HELP}"
    known = [*OURS, *OF_CLUSTER, *FLAGS, *CHOICES, *VALUED]
    return f"{unknown_flag(word, value_behind(word, arguments), known, settings=True)} {SEE_HELP}"


def _check_modes(options: Sequence[str]) -> None:
    modes = [option for option in options if option in MODES or option == "--info=all"]
    if len(modes) > 1:
        raise UserError(f"{' '.join(modes)}: only one of them at a time")
    if "--resolve" in options and not {"--cfg", "-c"} & set(modes):
        raise UserError("--resolve: changes how --cfg prints, and needs it (gan-exp train --cfg job --resolve)")
