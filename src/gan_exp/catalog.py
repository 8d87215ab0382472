"""What there is to configure, read from the YAML files alone: no torch, no Hydra."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The configuration that comes with the tool: in the wheel inside the package, in a checkout two levels up."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parents[1] / "conf"


def groups(extra: Sequence[Path] = ()) -> dict[str, dict[str, Path]]:
    """Each group's options and their files; `extra` are directories of the user's own."""
    found: dict[str, dict[str, Path]] = {group: {} for group in defaults()}
    for directory in (conf_dir(), *extra):
        for path in sorted(directory.glob("*/*.yaml")):
            found.setdefault(path.parent.name, {})[path.stem] = path
    return found


def describe(path: Path) -> str:
    """The first comment of an option's file."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ")
    return ""


def defaults() -> dict[str, str | None]:
    """Which option each group has where none is chosen."""
    chosen: dict[str, str | None] = {}
    for item in _read(conf_dir() / "config.yaml")["defaults"]:
        if isinstance(item, Mapping):
            chosen.update({key: value for key, value in item.items() if not key.startswith("override ")})
    return chosen


def root_keys() -> list[tuple[str, str, str]]:
    """(key, default, comment) of each key of the flat root."""
    keys = []
    for line in (conf_dir() / "config.yaml").read_text(encoding="utf-8").splitlines():
        setting, _, comment = line.partition("  # ")
        key, separator, value = setting.partition(":")
        if separator and value.strip() and not key.startswith((" ", "#")):
            keys.append((key, value.strip(), comment.strip()))
    return keys


def known_keys(overrides: Sequence[str] = (), extra: Sequence[Path] = ()) -> list[str]:
    """All dotted keys that can be set, given the options chosen in `overrides`."""
    chosen = defaults()
    for override in overrides:
        key, _, value = override.partition("=")
        chosen[key] = value
    keys = [key for key, _, _ in root_keys()]
    for group, options in groups(extra).items():
        keys.append(group)
        path = options.get(chosen.get(group) or "")
        if path is not None and group != "experiment":
            keys += _flat(_read(path), f"{group}.")
    return keys


def _flat(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _read(path: Path) -> dict[str, Any]:
    """A file of the user's own that can't be read has no keys: whoever trains with it is told what is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except Exception:  # what constructs a value trusts its tag: KeyError, AttributeError, ...
        return {}
    return content if isinstance(content, dict) else {}
