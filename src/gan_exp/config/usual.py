"""Defaults that follow from other keys. conf/config.yaml has ${gan_exp.usual:KEY,${model.name}}."""

import re
from collections.abc import Mapping
from typing import Any

# About two minutes on two cores with 28x28 images (docs/configuration.md: how they were found).
USUAL: dict[str, float] = {"steps": 5000, "batch_size": 32, "lr": 2e-3}
USUAL_OF: dict[str, dict[str, float]] = {"mlp": {"steps": 8000, "batch_size": 64, "lr": 1e-3}}

UNKNOWN = object()  # a default that follows from others by a function
KEY = re.compile(r"\$\{([\w.]+)\}")  # optimizer.generator.lr: ${lr}
BY_MODEL = re.compile(r"\$\{gan_exp\.usual:(\w+),\$\{model\.name\}\}")


def usual(key: str, model: str) -> float:
    """The default of `key` for the model of this name."""
    return {**USUAL, **USUAL_OF.get(model, {})}[key]


def fill_in(default: str, configuration: Mapping[str, Any]) -> Any:
    """A `default` as a YAML file has it, in the run whose `configuration` has dotted keys; UNKNOWN if it can't be told.

    A default that is one reference becomes the value itself, others stay text.
    """
    if by_model := BY_MODEL.fullmatch(default):
        return usual(by_model[1], str(configuration.get("model.name")))
    if whole := KEY.fullmatch(default):
        return configuration.get(whole[1], UNKNOWN)
    filled = KEY.sub(lambda found: str(configuration.get(found[1], found[0])), default)
    return UNKNOWN if "${" in filled else filled
