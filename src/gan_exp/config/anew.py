"""The configuration of a run, for a new one: some options chosen anew, and other values."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_exp.config.catalog import groups, option_of
from gan_exp.config.compose import compose
from gan_exp.config.overrides import apply_overrides, leaves

NEW_KEYS = ("dataset.mirror",)  # that runs of earlier versions lack, and a new one like them may have


def anew(saved: Mapping[str, Any], words: Sequence[str], config_dirs: Sequence[Path] = ()) -> dict[str, Any]:
    """The configuration `saved` with other options (dataset=folder) and values (dataset.root=DIR).

    An option that is chosen already changes nothing. What followed another key in `saved` follows it still: the
    optimizers' learning rates `lr`, and the name those of the model and the data set. Raises UserError for words that
    make no configuration.
    """
    known = {*groups(config_dirs)} - {"experiment"}
    options = [word for word in words if word.partition("=")[0] in known]
    values = [word for word in words if word not in options]
    changed = apply_overrides({**saved, **_chosen(saved, options, config_dirs)}, values, NEW_KEYS)
    lines = changed.get("chosen", [])
    if isinstance(lines, list) and all(isinstance(line, str) for line in lines):  # or else the check refuses it
        changed["chosen"] = _still_true(lines, [word.partition("=")[0] for word in words])
    _follow_lr(saved, changed, [word.partition("=")[0] for word in values])
    if saved.get("name") == _usual_name(saved) and changed["name"] == saved["name"]:
        changed["name"] = _usual_name(changed)
    return changed


def _chosen(saved: Mapping[str, Any], options: Sequence[str], config_dirs: Sequence[Path]) -> dict[str, Any]:
    if not options:
        return {}
    # Values that options refer to.
    penalty = saved["penalty"].get("_target_")
    context = [f"lr={saved['lr']}", *([f"penalty={option_of('penalty', penalty)}"] if _is_ours(penalty) else [])]
    given = {word.partition("=")[0] for word in options}
    composed = compose([word for word in context if word.partition("=")[0] not in given] + list(options), config_dirs)
    found = {key: composed.plain[key] for key in given}
    same = [key for key, node in found.items() if _what(node) == _what(saved[key])]
    return {key: node for key, node in found.items() if key not in same}


def _still_true(lines: Sequence[str], given: Sequence[str]) -> list[str]:
    """Of what was chosen for a folder of images, and why: what the words leave as it was."""
    if "dataset" in given or "dataset.root" in given:
        return []
    return [line for line in lines if not any(line.startswith((f"{key}=", f"{key}.")) for key in given)]


def chosen_once(config: Mapping[str, Any], before: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """`config`, or where it differs from `before` in nothing but what was chosen for a folder of images, the latter.

    A run that is started again with the same `words` may choose otherwise, as on a device of another kind. Both are
    whole configurations. What the words say is taken from them.
    """
    if not (config.get("chosen") and before.get("chosen")):
        return dict(config)
    known = groups()
    options = {word.partition("=")[0] for word in words} & known.keys() - {"experiment"}
    if any(_what(config[group]) != _what(before[group]) for group in options if "_target_" in config[group]):
        return dict(config)
    own = [word for word in words if "=" in word and word.partition("=")[0] not in known]
    given = leaves(config)
    same = copy.deepcopy(dict(before))
    for key in {word.partition("=")[0].lstrip("+") for word in own} & given.keys():
        _set(same, key, given[key])
    return same


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        config = config.setdefault(parent, {})
    config[last] = value


def _is_ours(target: object) -> bool:
    return isinstance(target, str) and target.startswith("gan_exp.")


def _what(node: Any) -> Any:
    """What an option names; devices and schedules name nothing that would identify them."""
    if not isinstance(node, Mapping) or not ("_target_" in node or "generator" in node):
        return object()
    return [node.get("_target_"), node.get("name"), *(node.get(n, {}).get("_target_") for n in ("generator",))]


def _follow_lr(saved: Mapping[str, Any], changed: dict[str, Any], given: Sequence[str]) -> None:
    for network in ("generator", "discriminator"):
        node = changed["optimizer"][network]
        if f"optimizer.{network}.lr" not in given and node.get("lr") == saved["lr"]:
            node["lr"] = changed["lr"]


def _usual_name(config: Mapping[str, Any]) -> str:
    return f"{config['model']['name']}-{config['dataset'].get('name')}"
