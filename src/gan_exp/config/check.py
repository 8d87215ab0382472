"""A resolved, plain configuration is checked once: each value by itself, then together with the others."""

import math
from pathlib import Path
from typing import Any

from gan_exp.config.contradictions import refuse_contradictions
from gan_exp.config.metrics import AUTO, resolve_best
from gan_exp.config.mistakes.unknown import unknown_key
from gan_exp.config.schema import Config, Node
from gan_exp.config.targets import check_node
from gan_exp.config.validation import validated
from gan_exp.errors import UserError

ALWAYS_PLACES = ("root", "cache")  # of a data set; they hold paths
PLACES = (*ALWAYS_PLACES, "labels")  # these may: a file that the working directory has, or one within the root


def check(plain: dict[str, Any]) -> Config:
    """The checked configuration from a resolved, plain one.

    Raises UserError with one sentence that names the key, the value and the remedy.
    """
    _refuse_no_values(plain)
    config = validated(Config, plain, "")
    if config.best_metric != AUTO:
        resolve_best(config.best_metric)
    for path, node in config.nodes():
        check_node(path, {"dataset": config.dataset, "penalty": config.penalty}.get(path, node))
    for group in ("penalty", "augment"):
        if config.node(group) is None:
            _refuse_leftovers(group, getattr(config, group))
    refuse_contradictions(config)
    if config.start_from and Path(config.start_from).exists():
        return config.model_copy(update={"start_from": str(Path.cwd() / config.start_from)})
    return config


def with_absolute_paths(config: Config) -> Config:
    """For a run to keep: relative paths would lead elsewhere from another working directory.

    In the user's own classes a name that no path has may be anything, such as an address.
    """
    ours = str(config.dataset.get("_target_")).startswith("gan_exp.")
    found = {
        key: str(Path.cwd() / text)
        for key, text in config.dataset.items()
        if key in PLACES and isinstance(text, str) and text and not text.startswith("~")
        if (ours and key in ALWAYS_PLACES) or Path(text).exists()
    }
    return config.model_copy(update={"dataset": {**config.dataset, **found}})


def _refuse_leftovers(path: str, node: Node) -> None:
    """Keys beside a `_target_` of null would do nothing."""
    for key in node:
        if key != "_target_":
            raise UserError(unknown_key(f"{path}.{key}", [path], [f"{path}.{key}={node[key]}"]))


def _refuse_no_values(node: object, path: str = "") -> None:
    if isinstance(node, float) and not math.isfinite(node):
        raise UserError(f"{path}={node}: must be a finite number")
    if node == "???":  # OmegaConf's mark of a value that must be given
        raise UserError(f"{path}: has no default; set it with {path}=...")
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    # Values before groups: a group may repeat one as ${lr}, and the user set the first.
    for key, value in sorted(items, key=lambda item: isinstance(item[1], dict | list)):
        _refuse_no_values(value, f"{path}.{key}" if path else str(key))
