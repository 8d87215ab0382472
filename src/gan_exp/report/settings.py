"""A run's configuration beside the defaults: which values were chosen, and what each setting means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gan_exp.comparison.grouping import OF_OUTPUT, TARGET, settings_of, text
from gan_exp.config import catalog
from gan_exp.config.overrides import leaves
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.config.usual import UNKNOWN, fill_in

NAMES = ("_target_", "name")  # the last parts of the keys that show which option was chosen
_groups = lru_cache(catalog.groups)
_defaults = lru_cache(catalog.defaults)


@dataclass(frozen=True)
class Setting:
    key: str
    value: str
    default: str
    meaning: str
    differs: bool

    @property
    def trains(self) -> bool:
        """Whether it changes what is trained, not just the output or the machine's use."""
        return self.key not in OF_OUTPUT and not self.key.startswith("device") and self.key != "dataset.root"


def settings(configuration: Mapping[str, Any]) -> list[Setting]:
    """Every setting of a run, given its configuration with dotted keys: first the choices, then the values."""
    chosen = {group: _option(group, configuration) for group in _defaults() if group != "experiment"}
    rows = [_choice(group, option, configuration) for group, option in chosen.items()]
    known = dict(catalog.settings([f"{group}={option}" for group, option in chosen.items()]))
    for key, value in configuration.items():
        if key.endswith(TARGET) or key in ("model.name", "dataset.name", "device.name"):
            continue
        if key in known:
            rows.append(_setting(known[key], key, value, configuration))
        elif value is not None:  # null is what the option leaves away
            of_own_class = chosen.get(key.partition(".")[0], "") is None
            rows.append(Setting(key, text(value), "", "", of_own_class))
    return rows


def shared_settings(configurations: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Those with which all runs agree."""
    first, *others = configurations
    alike = {key for key, value in first.items() if all(one.get(key, UNKNOWN) == value for one in others)}
    return [row for row in settings(first) if _keys_of(row, first) <= alike]


def _keys_of(row: Setting, configuration: Mapping[str, Any]) -> set[str]:
    """The keys that a row stands for: its own, or of a choice those that name classes."""
    if row.key in configuration:
        return {row.key}
    return {key for key in configuration if key.startswith(f"{row.key}.") and key.rpartition(".")[2] in NAMES}


def differing(rows: Sequence[Setting]) -> list[tuple[str, str]]:
    """(key, value) of what was chosen for the training."""
    return [(row.key, row.value) for row in rows if row.differs and row.trains]


def _choice(group: str, option: str | None, configuration: Mapping[str, Any]) -> Setting:
    default = str(_defaults()[group])
    value = option or str(settings_of(configuration).get(group) or configuration.get(f"{group}.name") or "of your own")
    path = _groups()[group].get(value)
    return Setting(group, value, default, "" if path is None else catalog.describe(path), value != default)


def _setting(known: catalog.Setting, key: str, value: Any, configuration: Mapping[str, Any]) -> Setting:
    default = _default(known.default, configuration)
    shown = text(value)
    if default is UNKNOWN:
        return Setting(key, shown, "follows from others", known.comment, False)
    return Setting(key, shown, text(default), known.comment, value != default)


def _default(written: str, configuration: Mapping[str, Any]) -> Any:
    """The default as it would be in this run: `${lr}` is the run's own lr."""
    filled = fill_in(written, configuration)
    if not isinstance(filled, str):
        return filled
    try:
        return read_yaml(filled)
    except ValueError:
        return filled


def _option(group: str, configuration: Mapping[str, Any]) -> str | None:
    """The option of `group` whose classes and name the run has; None if it is one of the user's own."""
    fitting = [
        (len(identity), option)
        for option, identity in _identities(group).items()
        if all(configuration.get(f"{group}.{key}", UNKNOWN) == value for key, value in identity.items())
    ]
    return max(fitting, key=lambda one: one[0])[1] if fitting else None


@lru_cache
def _identities(group: str) -> dict[str, dict[str, Any]]:
    """The classes and the name of each option."""
    return {option: _identity(path) for option, path in _groups()[group].items()}


def _identity(path: Path) -> dict[str, Any]:
    try:
        plain = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = leaves(plain) if isinstance(plain, dict) else {}
    return {key: value for key, value in found.items() if key.rpartition(".")[2] == "_target_" or key == "name"}
