"""What differs between runs, and groups of runs that differ in the seed alone."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gan_exp.comparison.records import RunRecord
from gan_exp.config.catalog import option_of
from gan_exp.config.overrides import MAY_CHANGE

SEED = "seed"
# Keys of a run's output and of the machine: runs that differ in these alone train the same.
OF_OUTPUT = {*MAY_CHANGE, "name", "grid_rows", "grid_columns", "dataset.cache"} - {"steps"}
PRECISION = "device.precision"  # the one key of the machine that changes what is trained
# The key that shows a node's choice: its other keys depend on it. A model and a data set have a name.
CHOICES = ("model.name", "dataset.name")
TARGET = "._target_"

Settings = Mapping[str, Any]  # by dotted key; a choice of an option by its group: model, loss, optimizer


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone. `settings` are those in which the groups differ."""

    settings: Settings
    runs: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        """For a table: `lr=0.001 model=dcgan`; of a single group `all runs`."""
        return label(self.settings) or "all runs"


def label(settings: Settings) -> str:
    """Settings as words of a command line; those that a run doesn't have are left out."""
    return " ".join(f"{key}={text(value)}" for key, value in settings.items() if value is not MISSING)


def text(value: Any) -> str:
    """A value as in a word of a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    return str(value)


class _Missing:
    """A key that a run doesn't have: its model has no such argument, or it is of an older version."""

    def __repr__(self) -> str:
        return "-"


MISSING: Any = _Missing()


def differing(configurations: Sequence[Settings], every_key: bool = False) -> list[str]:
    """The keys in which `configurations` (dotted keys) differ, as a reader would name them.

    Keys that only follow from others are left out: `optimizer.generator.lr` where it equals `lr` in each, and the
    arguments of a model where the model differs. Choices come first and by their groups (`model`, `loss`). Unless
    `every_key`, keys of the output and of the machine are left out: they don't change what is trained.
    """
    if len(configurations) < 2:
        return []
    shown = [settings_of(one) for one in configurations]
    keys = dict.fromkeys(key for one in shown for key in one)
    columns = {
        key: tuple(_hashable(one.get(key, MISSING)) for one in shown)
        for key in keys
        if every_key or not _of_output(key)
    }
    columns = {key: column for key, column in columns.items() if len(set(column)) > 1}
    return [key for key, column in columns.items() if not _follows(key, column, columns, shown)]


def _of_output(key: str) -> bool:
    return key in OF_OUTPUT or (key.startswith("device.") and key != PRECISION)


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else json.dumps(value)


def _follows(
    key: str, column: tuple[Hashable, ...], columns: Mapping[str, tuple[Hashable, ...]], shown: Sequence[Settings]
) -> bool:
    """Whether another key that differs tells the value of `key`."""
    last = key.rpartition(".")[2]
    if last != key and last in columns:  # optimizer.generator.lr: takes the value of lr, unless it was set by itself
        node = key.partition(".")[0]
        of_same_name = [each for each in shown[0] if each.startswith(f"{node}.") and each.endswith(f".{last}")]
        if all(one.get(each) == one.get(last) for one in shown for each in of_same_name):
            return True
    for other, values in columns.items():
        if key.startswith(f"{other}.") and len(set(zip(values, column, strict=True))) == len(set(values)):
            return True
    # A key that some runs lack though nothing else explains it is of another version.
    return MISSING in column and len(set(column)) == 2


@lru_cache(maxsize=1024)
def _option(group: str, target: str) -> str:
    return option_of(group, target)


def settings_of(configuration: Settings) -> dict[str, Any]:
    """`configuration` with choices by their groups: `loss=hinge` for `loss._target_`, `model` for `model.name`."""
    choices: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in configuration.items():
        if key in CHOICES:
            choices[key.removesuffix(".name")] = value
        elif key.endswith(TARGET):
            node = key.removesuffix(TARGET)
            choices[node] = "none" if value is None else _option(node.partition(".")[0], str(value))
        else:
            rest[key] = value
    networks = [f"optimizer.{network}" for network in ("generator", "discriminator")]
    if len({choices.get(network) for network in networks}) == 1 and networks[0] in choices:
        choices["optimizer"] = choices[networks[0]]
        choices = {key: value for key, value in choices.items() if key not in networks}
    return {**choices, **rest}


def group_runs(records: Iterable[RunRecord]) -> list[Group]:
    """Groups in the order of their first runs. A group's runs train the same but for the seed.

    Two runs of a group may have the same seed: then one repeats the other.
    """
    records = list(records)
    keys = [key for key in differing([record.configuration for record in records]) if key != SEED]
    found: dict[tuple[Hashable, ...], list[RunRecord]] = {}
    settings: dict[tuple[Hashable, ...], Settings] = {}
    for record in records:
        own = settings_of(record.configuration)
        values = {key: own.get(key, MISSING) for key in keys}
        place = tuple(_hashable(value) for value in values.values())
        found.setdefault(place, []).append(record)
        settings.setdefault(place, values)
    return [Group(settings[place], tuple(runs)) for place, runs in found.items()]
