"""A resolved, plain configuration is checked once: each value by itself, then together with the others."""

import math
from typing import Any

from gan_exp.config.hints import unknown_key
from gan_exp.config.schema import Config
from gan_exp.config.targets import check_node, resolve_target
from gan_exp.config.validation import Node, validated
from gan_exp.errors import UserError


def check(plain: dict[str, Any]) -> Config:
    """The checked configuration from a resolved, plain one.

    Raises UserError with one sentence that names the key, the value and the remedy.
    """
    _refuse_no_values(plain)
    config = validated(Config, plain, "")
    for path, node in config.nodes():
        check_node(path, {"dataset": config.dataset, "penalty": config.penalty}.get(path, node))
    for group in ("penalty", "augment"):
        if config.node(group) is None:
            _refuse_leftovers(group, getattr(config, group))
    _refuse_contradictions(config)
    return config


def _refuse_contradictions(config: Config) -> None:
    """Settings that are each right and together make no game."""
    if config.split_updates and config.node("penalty") is not None:
        raise UserError("split_updates=true has no place for a penalty: set penalty=none or split_updates=false")
    if config.split_updates and not hasattr(resolve_target("loss", config.loss["_target_"]), "real"):
        raise UserError(
            "split_updates=true needs a loss with a term for reals and one for fakes: set loss=non_saturating"
        )
    if config.reuse_fakes and config.inference_fakes:
        raise UserError(
            "reuse_fakes=true has G make its fakes in training mode, inference_fakes=true in inference mode: set one"
        )
    if config.batch_size % config.pac:
        raise UserError(f"batch_size={config.batch_size}: must be a multiple of pac={config.pac}")
    if config.pac > 1 and config.conditional:
        raise UserError(
            f"pac={config.pac}: D can't be told one label for several images; set conditional=false or pac=1"
        )
    if config.schedule.augment is not None and not _augment_is_scheduled(config):
        raise UserError(
            "schedule.augment: there is no augment.p that it could multiply; set augment=pipeline or "
            "augment=diffaugment, or leave schedule.augment out"
        )


def _augment_is_scheduled(config: Config) -> bool:
    target = config.augment.get("_target_")
    return target is not None and hasattr(resolve_target("augment", target), "scale_p")


def _refuse_leftovers(path: str, node: Node) -> None:
    """Keys beside a `_target_` of null would do nothing."""
    for key in node:
        if key != "_target_":
            raise UserError(unknown_key(f"{path}.{key}", [path], [f"{path}.{key}={node[key]}"]))


def _refuse_no_values(node: object, path: str = "") -> None:
    if isinstance(node, float) and not math.isfinite(node):
        raise UserError(f"{path}={node}: must be a finite number")
    if node == "???":  # OmegaConf's sign for what must be given
        raise UserError(f"{path}: has no default; set it with {path}=...")
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    # What is set itself before the groups, where it may stand again as ${lr}.
    for key, value in sorted(items, key=lambda item: isinstance(item[1], dict | list)):
        _refuse_no_values(value, f"{path}.{key}" if path else str(key))
