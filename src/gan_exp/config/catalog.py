"""The groups, options and keys of the configuration, read from the YAML files alone: no torch, no Hydra."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PACKAGE = Path(__file__).resolve().parents[1]
NOT_SET_BY_HAND = ("defaults", "hydra")  # the keys of a file that are Hydra's
OVERRIDE = "override /"  # what stands before a group in a recipe's list of defaults
# The last parts of keys that hold paths, names and other text.
TEXTS = (
    "name",
    "root",
    "cache",
    "dir",
    "subdir",
    "path",
    "folder",
    "directory",
    "file",
    "license",
    "start_from",
    "labels",
)
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: several times faster


class Setting(NamedTuple):
    key: str  # dotted, below the group
    default: str  # as it stands in the file
    comment: str


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
    """The default option of each group."""
    return {group: option for group, option in _listed(conf_dir() / "config.yaml") if not group.startswith("override ")}


def chosen_by(path: Path) -> dict[str, str]:
    """The options that a recipe chooses."""
    return {group.removeprefix(OVERRIDE): str(option) for group, option in _listed(path) if group.startswith(OVERRIDE)}


def _listed(path: Path) -> Iterator[tuple[str, str | None]]:
    listed = _read(path).get("defaults")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping):
            yield from ((str(group), option) for group, option in item.items())


def option_of(group: str, target: str) -> str:
    """The option of a group that names the class `target`; for other classes the class's own name."""
    for option, path in groups().get(group, {}).items():
        content = _read(path)
        named = content.get("generator", content)  # an optimizer's file has one for each network
        if isinstance(named, Mapping) and named.get("_target_") == target:
            return option
    return target.rpartition(".")[2]


def license_of(dataset: Mapping[str, Any]) -> str | None:
    """The licence of the data set that this node of a configuration names; None if none is stated.

    A run from before `dataset.license` has that of the option with the same function.
    """
    if "license" not in dataset:
        contents = map(_read, groups()["dataset"].values())
        dataset = next((each for each in contents if each.get("_target_") == dataset.get("_target_")), {})
    found = dataset.get("license")
    return None if found is None else str(found)


def root_keys() -> list[Setting]:
    """Each key of the flat root."""
    return settings_of(conf_dir() / "config.yaml")


def settings_of(path: Path) -> list[Setting]:
    """Each key of a file with its default and the comment behind it; no keys if the file can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []
    return list(_settings(root, text, "")) if isinstance(root, yaml.MappingNode) else []


def _settings(node: yaml.MappingNode, text: str, prefix: str) -> Iterator[Setting]:
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode) or name.value == "_target_":
            continue
        if not prefix and name.value in NOT_SET_BY_HAND:
            continue
        if isinstance(value, yaml.MappingNode) and value.start_mark.line > name.start_mark.line:
            yield from _settings(value, text, f"{prefix}{name.value}.")
            continue
        default = " ".join(text[value.start_mark.index : value.end_mark.index].split())
        behind = text[value.end_mark.index :].partition("\n")[0]
        yield Setting(f"{prefix}{name.value}", default, behind.partition("# ")[2].strip())


def is_text(key: str) -> bool:
    """Whether a key holds a path or a name, whose value is taken literally."""
    return key.lstrip("+").rpartition(".")[2] in TEXTS


def known_keys(overrides: Sequence[str] = (), extra: Sequence[Path] = ()) -> list[str]:
    """All dotted keys that can be set, given the options chosen in `overrides`, and the groups."""
    return [key for key, _ in settings(overrides, extra)] + list(groups(extra))


def settings(overrides: Sequence[str] = (), extra: Sequence[Path] = ()) -> Iterator[tuple[str, Setting]]:
    """All dotted keys that can be set, given the options chosen in `overrides`, with their defaults and comments."""
    available = groups(extra)
    words = dict(override.partition("=")[::2] for override in overrides)
    recipe = available["experiment"].get(words.get("experiment", ""))
    chosen: dict[str, str | None] = {**defaults(), **(chosen_by(recipe) if recipe is not None else {}), **words}
    yield from ((setting.key, setting) for setting in root_keys())
    for group, options in available.items():
        path = options.get(chosen.get(group) or "")
        if path is not None and group != "experiment":
            yield from ((f"{group}.{setting.key}", setting) for setting in settings_of(path))


def _read(path: Path) -> dict[str, Any]:
    """The content of a YAML file; empty if it can't be read, which training with it reports."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except Exception:  # constructors trust a value's tag: KeyError, AttributeError, ...
        return {}
    return content if isinstance(content, dict) else {}


def config_dirs(words: Sequence[str]) -> list[Path]:
    """The user's own folders of YAML that `words` of `train` name with --config-dir."""
    options = ("--config-dir", "-cd")
    found = [after for word, after in pairwise(words) if word in options]
    found += [word.partition("=")[2] for word in words if word.partition("=")[0] in options and "=" in word]
    return [Path(directory) for directory in found]
