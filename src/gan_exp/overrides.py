"""`key=value` words applied to the configuration of a run that exists; new ones go through Hydra."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gan_exp.errors import UserError
from gan_exp.hints import unknown_key
from gan_exp.plain_yaml import read_yaml

# What may change in the middle of a run without making another experiment of it.
MAY_CHANGE = (
    "steps",
    "log_every_steps",
    "sample_every_steps",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "evaluate_every_steps",
    "evaluate_count",
    "best_metric",
    "display",
    "fast_path",
)


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `config` with each `dotted.key=value` set. Raises UserError for keys that it doesn't have."""
    changed = copy.deepcopy(dict(config))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise UserError(f"{override}: must be written key=value, such as steps=20000")
        *parents, last = key.split(".")
        node: Any = changed
        for parent in parents:
            node = node.get(parent) if isinstance(node, Mapping) else None
        if not isinstance(node, dict) or last not in node:
            raise UserError(unknown_key(key, leaf_keys(changed), overrides, anew=False))
        if isinstance(node[last], Mapping):
            raise UserError(f"{override}: {key} is a group, whose options can't be chosen anew for a run that exists")
        try:
            node[last] = read_yaml(text)
            json.dumps(node[last])  # a value that holds itself, or one of YAML's stranger types, fails here
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{override}: the value can't be read ({' '.join(str(error).split())})") from error
    return changed


def leaf_keys(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values that are no mappings themselves."""
    return list(leaves(node, prefix))


def leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All values that are no mappings themselves, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value  # a key of YAML can be a number
    return found


def differing_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The dotted keys whose values make another experiment of it; keys that only one has are of another version."""
    old, new = leaves(before), leaves(after)
    same_everywhere = (key for key in new if key in old and key not in MAY_CHANGE and not key.startswith("device."))
    return [key for key in same_everywhere if old[key] != new[key]]
