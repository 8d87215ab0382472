"""Adds to the user's words what `dataset=folder` alone chooses (`own_images.py`)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf.errors import OmegaConfBaseException

from gan_exp.config.catalog import conf_dir
from gan_exp.config.own_images import Recipe, advice, choose_recipe, choose_settings, without
from gan_exp.data.glance import Glance, glance_at
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user

CHOSEN = "chosen"  # the key of what was chosen, and why


def chosen_words(words: Sequence[str], composed: Any) -> list[str]:
    """Words to go before the user's; none where they name a model or an experiment, or no folder that can be read.

    `composed` is what the user's words alone make.
    """
    keys = {word.partition("=")[0].lstrip("+~") for word in words}
    groups = {key.partition(".")[0] for key in keys}
    if "dataset=folder" not in words or groups & {"model", "experiment", CHOSEN}:
        return []
    dataset = composed.dataset
    size = dataset.size if "dataset.size" in keys else None
    steps = composed.steps if "steps" in keys else None
    if ("dataset.size" in keys and not _is_size(size)) or not isinstance(steps, int | None):
        return []  # refused later, in a sentence
    try:
        glance = _look(str(dataset.root), str(dataset.cache), float(dataset.max_megapixels))
    except (UserError, OmegaConfBaseException, OSError, ValueError, TypeError):
        return []  # so are a folder that can't be read, and none
    on_gpu, bf16 = _on_gpu_and_bf16(str(composed.device.name))
    choices = choose_recipe(glance, on_gpu, size)
    recipe = _read(next(choice.value for choice in choices if choice.key == "experiment"))
    shape: Any = next((choice.value for choice in choices if choice.key == "dataset.size"), size)
    choices += choose_settings(glance, _facts(recipe), shape, steps, cpu_with_bf16=bf16 and not on_gpu)
    choices = [choice for choice in choices if choice.key.partition(".")[0] not in groups - {"dataset", "device"}]
    choices = without(choices, keys)
    lines = [*(choice.line for choice in choices), *advice(glance)]
    return [*(choice.word for choice in choices), f"{CHOSEN}=[{','.join(map(_quoted, lines))}]", *_unset(recipe, words)]


def _look(root: str, cache: str, max_megapixels: float) -> Glance:
    folder = expand_user(root, "dataset.root")
    changed = folder.stat().st_mtime_ns
    return _remembered(folder, expand_user(cache, "dataset.cache", "GAN_EXP_CACHE"), max_megapixels, changed)


@lru_cache(maxsize=8)
def _remembered(root: Path, cache: Path, max_megapixels: float, changed: int) -> Glance:
    """All jobs of a sweep have the same folder."""
    return glance_at(root, cache, max_megapixels)


def _on_gpu_and_bf16(device: str) -> tuple[bool, bool]:
    """Whether the run is on a GPU, and whether a CPU has instructions for bfloat16 numbers."""
    import torch

    from gan_exp.runtime.device import best_device, has_bf16

    return (best_device() if device == "auto" else device) != "cpu", has_bf16(torch.device("cpu"))


def _read(experiment: str) -> dict[str, Any]:
    content = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _facts(recipe: Mapping[str, Any]) -> Recipe:
    gamma = recipe.get("penalty", {}).get("gamma")
    return Recipe(int(recipe["steps"]), int(recipe["batch_size"]), None if gamma is None else float(gamma))


def _unset(recipe: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Words that drop the recipe's settings of groups that the user's words leave out, as in penalty=none."""
    left_out = [word.removesuffix("=none") for word in words if word.endswith("=none")]
    return [f"~{group}.{key}" for group in left_out if isinstance(recipe.get(group), dict) for key in recipe[group]]


def _is_size(size: Any) -> bool:
    sides = [size] if isinstance(size, int) else size
    return hasattr(sides, "__iter__") and all(isinstance(side, int) and side > 0 for side in sides) and len(sides) > 0


def _quoted(text: str) -> str:
    """As a value in Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"
