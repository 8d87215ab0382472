"""The settings of a run that are not the defaults, from the YAML files alone: those of the options that it chose."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gan_exp.comparison.grouping import OF_OUTPUT, Settings, settings_of
from gan_exp.config.catalog import NOT_SET_BY_HAND, conf_dir, defaults, groups
from gan_exp.config.overrides import leaves
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.config.usual import UNKNOWN, fill_in


def changed_settings(configuration: Settings) -> dict[str, Any]:
    """The choices that are not the default ones, and the values that are not those of the chosen options' files.

    `configuration` has dotted keys. Left out are keys of the output and of the machine, and values whose defaults
    aren't known here: those of options of the user's own, and those that the files compute.
    """
    own = settings_of(configuration)
    changed = {}
    for key, value in own.items():
        if key in OF_OUTPUT or key.startswith("device."):
            continue
        default = _default(key, own)
        if isinstance(default, str) and "${" in default:
            default = fill_in(default, configuration)
        if default is not UNKNOWN and value != default:
            changed[key] = value
    return changed


def _default(key: str, own: Settings) -> Any:
    """As it stands in the file that has it; UNKNOWN if none does."""
    group, _, rest = key.partition(".")
    if not rest:
        return _choices().get(key, _root().get(key, UNKNOWN))
    if group == "schedule" and "." not in rest:
        return _choices().get(key)
    option = own.get(group, own.get(f"{group}.generator", own.get(f"{group}.lr", "")))
    return _values(group, str(option).lower()).get(key, UNKNOWN)


@lru_cache(maxsize=1)
def _choices() -> dict[str, Any]:
    """The default option of each group, as `settings_of` names them."""
    options = [_values(group, option or "") for group, option in defaults().items()]
    choices = {key for group in defaults() for key in (group, f"{group}.lr")}
    return {key: value for values in options for key, value in values.items() if key in choices}


@lru_cache(maxsize=256)
def _values(group: str, option: str) -> dict[str, Any]:
    """The values of an option's file by dotted key; empty if it isn't the package's."""
    path = groups().get(group, {}).get(option)
    return {} if path is None else settings_of(leaves(_content(path), f"{group}."))


@lru_cache(maxsize=1)
def _root() -> dict[str, Any]:
    return {key: value for key, value in _content(conf_dir() / "config.yaml").items() if not isinstance(value, Mapping)}


def _content(path: Path) -> dict[str, Any]:
    found = read_yaml(path.read_text(encoding="utf-8"))
    return {key: value for key, value in found.items() if key not in NOT_SET_BY_HAND}
