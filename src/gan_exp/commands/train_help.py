"""`gan-exp train --help [GROUP[=OPTION] ...]`, read from the YAML files: no Hydra, no torch.

Hydra's help knows no comments. Tables of rich break lines in a pipe too, and cut keys off in a narrow terminal.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from gan_exp.config.catalog import (
    Setting,
    chosen_by,
    conf_dir,
    defaults,
    describe,
    groups,
    known_keys,
    root_keys,
    settings,
    settings_of,
)
from gan_exp.config.mistakes.unknown import unknown_key, unknown_option
from gan_exp.errors import UserError

EXAMPLES = (
    ("gan-exp train model=mlp lr=2e-4", "one run"),
    ("gan-exp train -m lr=1e-4,2e-4 model=mlp,dcgan", "every combination, several at once"),
    ("gan-exp train optimizer.discriminator.lr=4e-4", "a key inside a group"),
    ("gan-exp train experiment=article", "a recipe"),
    ("gan-exp train --help dataset=folder", "the keys of an option"),
    ("gan-exp train --help dataset", "the keys of all options of a group"),
)
OPTIONS = (
    ("-m, --multirun", "one run for each combination of the values given with commas"),
    ("--jobs N", "with -m: N runs at a time (default: as many as fit cores, memory and GPUs)"),
    ("--zip KEY,KEY", "with -m: take the values of these keys together instead of combining them"),
    ("--on-failure stop", "with -m: let a run that fails end the sweep"),
    ("--cfg job", "print the configuration that would be used, and stop"),
    ("--config-dir DIR", "your own YAML files, in folders named like the groups"),
    ("--trust MODULE", "allow `_target_` in your YAML to name classes of your MODULE"),
    ("--again RUN", "a new run with the configuration of an old one"),
    ("--from RUN", "a new run that starts from the weights of RUN, with its configuration; for other or more images"),
    ("--keep PART,PART", "with --from: take over average (default), optimizers, augment (the p of ADA), or none"),
    ("--continue DIR", "train in DIR, or continue the run that is there: for jobs that may be started again"),
    ("--slurm, --slurm=FILE", "train on a cluster, with the keys slurm.* (gan-exp train --help slurm)"),
    ("--wait", "with --slurm: stay until all is done"),
    ("hydra.run.dir=DIR", "the run's directory, instead of outputs/<date>/<time>-<name>"),
    ("--info, --hydra-help", "Hydra's own information and help"),
)
KEY_WIDTH, DEFAULT_WIDTH = 24, 12  # columns of the tables of keys
NARROWEST = 24  # columns that a comment is broken into


def help_text(topics: Sequence[str] = (), extra: Sequence[Path] = ()) -> str:
    """All groups with their options and the keys of the root; with `topics` (GROUP, GROUP=OPTION or a key) theirs.

    Raises UserError for a topic that doesn't exist.
    """
    lines = [line for topic in topics for line in ["", *_about(topic, topics, extra)]][1:]
    return "\n".join(lines or _overview(extra))


def _overview(extra: Sequence[Path]) -> list[str]:
    chosen = defaults()
    lines = [
        "usage: gan-exp train [group=option ...] [key=value ...] [option ...]",
        "",
        "Train a GAN; without arguments, on digits that need no download, on the best",
        "device there is.",
        "",
        *(line for example in EXAMPLES for line in _row(*example, width=48)),
        "",
        "groups (* marks the default option):",
    ]
    for group, options in groups(extra).items():
        lines.append(f"  {group}")
        for option, path in options.items():
            mark = "*" if chosen.get(group) == option else " "
            lines += _row(f" {mark}{option}", describe(path), width=18)
    lines += ["", "keys (gan-exp train --help GROUP=OPTION lists those inside a group):"]
    lines += [line for setting in root_keys() for line in _setting(setting)]
    return [*lines, "", "options:", *(line for option in OPTIONS for line in _row(*option, width=22))]


def _about(topic: str, topics: Sequence[str], extra: Sequence[Path]) -> list[str]:
    key, _, value = topic.partition("=")
    if topic == "slurm":
        return _about_slurm()
    options = groups(extra).get(key)
    if options is None:
        return _about_key(key, topics, extra)
    lines: list[str] = []
    for option in value.split(",") if value else options:
        if option not in options:
            raise UserError(unknown_option(key, option, options))
        lines += [*([""] if lines else []), *_about_option(key, option, options[option])]
    return lines


def _about_slurm() -> list[str]:
    lines = _row("slurm", "how a cluster runs the jobs of --slurm; FILE holds these keys without slurm.", 0, margin=0)
    for setting in settings_of(conf_dir() / "slurm.yaml"):
        lines += _setting(setting._replace(key=f"slurm.{setting.key}"))
    return lines


def _about_option(group: str, option: str, path: Path) -> list[str]:
    prefix = "" if group == "experiment" else f"{group}."
    lines = _row(f"{group}={option}", describe(path), width=0, margin=0)
    choices = [f"{other}={choice}" for other, choice in chosen_by(path).items()]
    if choices:
        lines += _row("chooses", " ".join(choices), width=0)
    inside = [setting._replace(key=f"{prefix}{setting.key}") for setting in settings_of(path)]
    width = max((len(setting.key) + 2 for setting in inside), default=0)
    lines += [line for setting in inside for line in _setting(setting, width)]
    return lines if inside else [*lines, "  no keys"]


def _about_key(key: str, topics: Sequence[str], extra: Sequence[Path]) -> list[str]:
    """One key of the root, or of the options that the other topics choose."""
    for known, setting in settings(topics, extra):
        if known == key:
            return _setting(setting._replace(key=key), max(KEY_WIDTH, len(key) + 2))
    raise UserError(unknown_key(key, known_keys(topics, extra)))


def _setting(setting: Setting, width: int = KEY_WIDTH) -> list[str]:
    comment = setting.comment or ("part of the run directory's name" if setting.key.endswith("name") else "")
    left = f"{setting.key:<{width}}{_default(setting.default)}"
    return _row(left, comment, width + DEFAULT_WIDTH)


def _default(text: str) -> str:
    """A default without Hydra's ${...}, which users need not know."""
    if text == "???":
        return "(needed)"
    if text.startswith("${gan_exp."):
        return "(depends)"  # on other keys, as the comment says
    variable = re.fullmatch(r'\$\{oc\.env:(\w+),"?([^"}]*)"?\}', text)
    return f"{variable[2]} or ${variable[1]}" if variable else re.sub(r"\$\{([\w.]+)\}", r"<\1>", text)


def _row(left: str, right: str, width: int, margin: int = 2) -> list[str]:
    """`right` in a second column; in a terminal it is broken between words, or stands below a long `left`."""
    start = f"{' ' * margin}{left:<{width}}" if len(left) < width else f"{' ' * margin}{left}  "
    columns = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(start) + len(right) <= columns:
        return [(start + right).rstrip()]
    below = columns - len(start) < NARROWEST
    indent = " " * (margin + 4 if below else len(start))
    broken = textwrap.wrap(right, columns - len(indent), break_long_words=False, break_on_hyphens=False)
    lines = [indent + line for line in broken]
    return [start.rstrip(), *lines] if below else [start + broken[0], *lines[1:]]
