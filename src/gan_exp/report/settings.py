"""A run's configuration beside the defaults: which values were chosen, and what each setting means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gan_exp.comparison.defaults import changed_settings
from gan_exp.comparison.grouping import settings_of, text
from gan_exp.config import catalog
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.config.usual import UNKNOWN, fill_in

_groups = lru_cache(catalog.groups)
_defaults = lru_cache(catalog.defaults)
TARGET = "_target_"


@dataclass(frozen=True)
class Setting:
    key: str
    value: str
    default: str
    meaning: str
    differs: bool  # and changes what is trained


def settings(configuration: Mapping[str, Any]) -> list[Setting]:
    """Every setting of a run, given its configuration with dotted keys: first the choices, then the values."""
    own, changed = settings_of(configuration), changed_settings(configuration)
    options = {group: str(own.get(group, own.get(f"{group}.lr", ""))).lower() for group in _groups()}
    known = dict(catalog.settings([f"{group}={option}" for group, option in options.items() if option]))
    strange = {group for group, option in options.items() if option and option not in _groups()[group]}
    rows = []
    for key, value in own.items():
        if key in options:
            rows.append(_choice(key, text(value), key in changed))
        elif f"{key}.{TARGET}" in configuration and key not in changed:
            continue  # a network's class: the model's choice tells it
        elif key in known or value is not None:  # null is what an option leaves away
            default, meaning = (
                (_default(known[key].default, configuration), known[key].comment) if key in known else ("", "")
            )
            # The arguments of a class of the user's own have no defaults here: all were chosen.
            differs = key in changed or (key not in known and key.partition(".")[0] in strange - {"schedule"})
            rows.append(Setting(key, text(value), default, meaning, differs))
    return rows


def shared_settings(configurations: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Those with which all runs agree."""
    first, *others = map(settings_of, configurations)
    alike = {key for key, value in first.items() if all(key in one and one[key] == value for one in others)}
    return [row for row in settings(configurations[0]) if row.key in alike]


def differing(rows: Sequence[Setting]) -> list[tuple[str, str]]:
    """(key, value) of what was chosen for the training."""
    return [(row.key, row.value) for row in rows if row.differs]


def _choice(group: str, option: str, differs: bool) -> Setting:
    path = _groups()[group].get(option.lower())
    meaning = "" if path is None else catalog.describe(path)
    return Setting(group, option, str(_defaults().get(group)), meaning, differs)


def _default(written: str, configuration: Mapping[str, Any]) -> str:
    """The default as it would be in this run: `${lr}` is the run's own lr; empty where a function computes it."""
    filled = fill_in(written, configuration)
    if filled is UNKNOWN:
        return ""
    return text(read_yaml(filled) if isinstance(filled, str) else filled)
