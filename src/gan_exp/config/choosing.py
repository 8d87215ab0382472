"""Adds to the user's words what `dataset=folder` alone chooses (`own_images.py`)."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from gan_exp.config.catalog import chosen_by, defaults, groups, settings_of
from gan_exp.config.image_size import USUAL_SIDE
from gan_exp.config.overrides import leaves
from gan_exp.config.own_images import Recipe, advice, choose_recipe, choose_settings, without
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.data.glance import Glance, glance_at
from gan_exp.data.labels_file import label_places
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user

CHOSEN = "chosen"  # the key of what was chosen, and why


def known_first(words: Sequence[str]) -> list[str]:
    """The words that are known whatever is chosen: those without settings of the groups that a recipe chooses."""
    keys = {word: _key(word) for word in words}
    return [word for word in words if "." not in keys[word] or keys[word].startswith(("dataset.", "device.", "hydra."))]


def chosen_words(words: Sequence[str], composed: Any) -> list[str]:
    """Words to go before the user's; none where they name a model or an experiment, or no folder that can be read.

    `composed` is what the user's words alone make, of which it needs those that are `known_first`.
    """
    keys = {_key(word) for word in words}
    if "dataset=folder" not in words or keys & {"model", "experiment", CHOSEN}:
        return []
    size, steps, batch_size = (
        (composed.dataset.size if "dataset.size" in keys else None),
        *(composed[key] if key in keys else None for key in ("steps", "batch_size")),
    )
    if ("dataset.size" in keys and not _is_size(size)) or not _are_counts(steps, batch_size):
        return []  # refused later, in a sentence
    dataset = composed.dataset
    try:
        labels = None if dataset.labels is None else str(dataset.labels)
        glance = _look(str(dataset.root), str(dataset.cache), float(dataset.max_megapixels), labels)
    except (UserError, OmegaConfBaseException, OSError, ValueError, TypeError):
        return []  # so are a folder that can't be read, and none
    on_gpu, bf16 = _on_gpu_and_bf16(str(composed.device.name))
    choices = choose_recipe(glance, on_gpu, size)
    path = groups()["experiment"][next(choice.value for choice in choices if choice.key == "experiment")]
    if _means_usual_model(path, keys):
        return []
    recipe, unset = read_yaml(path.read_text(encoding="utf-8")), _unset(path, words)
    shape: Any = next((choice.value for choice in choices if choice.key == "dataset.size"), size)
    facts = _facts(recipe, _mirrors(path, words))
    coarse = bf16 and not on_gpu and "penalty.sigma" not in keys  # a small one is lost in bfloat16
    choices += choose_settings(glance, facts, shape, steps, batch_size, on_gpu, coarse)
    choices = [choice for choice in without(choices, keys) if f"~{choice.key}" not in unset]
    lines = [*(choice.line for choice in choices), *advice(glance)]
    return [*(choice.word for choice in choices), f"{CHOSEN}=[{','.join(map(_quoted, lines))}]", *unset]


def _means_usual_model(recipe: Path, keys: Collection[str]) -> bool:
    """Whether a key is of the model that is trained without a choice, and not of the recipe's."""
    models = groups()["model"]
    ours, usual = (
        {f"model.{setting.key}" for setting in settings_of(models[str(option)])}
        for option in (chosen_by(recipe)["model"], defaults()["model"])
    )
    return bool((usual - ours) & {*keys})


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _look(root: str, cache: str, max_megapixels: float, labels: str | None) -> Glance:
    folder = expand_user(root, "dataset.root")
    store = expand_user(cache, "dataset.cache", "GAN_EXP_CACHE")
    stamps = tuple(_stamp(place) for place in (folder, *label_places(folder, labels)))
    return _remembered(folder, store, max_megapixels, labels, stamps)


def _stamp(place: Path) -> tuple[int, int] | None:
    try:
        status = place.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _remembered(
    root: Path, cache: Path, max_megapixels: float, labels: str | None, stamps: tuple[tuple[int, int] | None, ...]
) -> Glance:
    """All jobs of a sweep have the same folder, with the same `stamps` of it and of its labels."""
    return glance_at(root, cache, max_megapixels, labels)


def _on_gpu_and_bf16(device: str) -> tuple[bool, bool]:
    """Whether the run is on a GPU, and whether a CPU has instructions for bfloat16 numbers."""
    import torch

    from gan_exp.runtime.device import best_device, has_bf16

    return (best_device() if device == "auto" else device) != "cpu", has_bf16(torch.device("cpu"))


def _facts(recipe: Mapping[str, Any], mirrors: bool) -> Recipe:
    gamma, size = recipe.get("penalty", {}).get("gamma"), recipe.get("dataset", {}).get("size", USUAL_SIDE)
    side = size if isinstance(size, int) else min(size)
    steps, batch_size = int(recipe["steps"]), int(recipe["batch_size"])
    return Recipe(steps, batch_size, None if gamma is None else float(gamma), side, mirrors)


def _mirrors(recipe: Path, words: Sequence[str]) -> bool:
    """Whether the augmentation does, which the words choose, or the recipe."""
    chosen = dict(word.partition("=")[::2] for word in words)
    option = chosen.get("augment", chosen_by(recipe).get("augment", "none"))
    file = groups()["augment"].get(option)
    settings = {**_values(file), **_values(recipe).get("augment", {})}
    return str(chosen.get("augment.flip", settings.get("flip", False))).lower() == "true"


def _values(file: Path | None) -> dict[str, Any]:
    return {} if file is None else read_yaml(file.read_text(encoding="utf-8"))


def _unset(recipe: Path, words: Sequence[str]) -> list[str]:
    """Words that drop the recipe's settings which the user's options lack, as for penalty=none."""
    usual, available, dropped = chosen_by(recipe), groups(), []
    for word in words:
        group, _, option = word.partition("=")
        own = _values(recipe).get(group)
        if isinstance(own, dict) and group in available and option != usual.get(group):
            file = available[group].get(option)
            known = set() if file is None else {setting.key for setting in settings_of(file)}
            dropped += [f"~{group}.{key}" for key in leaves(own) if key not in known]
    return dropped


def _are_counts(*values: Any) -> bool:
    return all(value is None or (isinstance(value, int) and value > 0) for value in values)


def _is_size(size: Any) -> bool:
    sides = [size] if isinstance(size, int) else size
    return hasattr(sides, "__iter__") and all(isinstance(side, int) and side > 0 for side in sides) and len(sides) > 0


def _quoted(text: str) -> str:
    """As a value in Hydra's grammar."""
    return "'" + text.replace("'", "\\'") + "'"
