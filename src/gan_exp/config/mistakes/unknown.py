"""Sentences for unknown keys and options; they suggest a name only where it is likely to be meant.

They read the YAML files alone. Other tools' names are in `synonyms.py`.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from gan_exp.config import catalog
from gan_exp.config.mistakes.synonyms import IMAGE_SIZE, KEYS, OPTIONS, plain_word
from gan_exp.errors import LISTABLE, NEAR, or_list, similarity

SURE = 0.85  # the least similarity of a suggestion from another group
MOST = 3  # suggestions in a sentence
GROUPS = {
    "dataset": "a data set",
    "model": "a model",
    "loss": "a loss",
    "penalty": "a penalty",
    "augment": "an augmentation",
    "optimizer": "an optimizer",
    "schedule": "a schedule",
    "device": "a device",
    "experiment": "a recipe",
}
PREFERRED = (
    "folder",
    "r1",
    "wgan_gp",
    "dcgan",
    "diffaugment",
    "adam",
    "cosine",
)  # first where several options fit
SEE_HELP = "gan-exp train --help lists the keys"


def unknown_key(key: str, known: Iterable[str], words: Sequence[str] = (), anew: bool = True) -> str:
    """The sentence for a key that is none of the `known` ones.

    `words` are the user's, which have the value. `anew`: options of groups can be chosen still.
    """
    names = list(known)
    value = next((word.partition("=")[2] for word in words if word.lstrip("+").startswith(f"{key}=")), "...")
    hint = _synonym(key, value, names) or _nearest_key(key, names)
    other = _of_another_option(key, value) if anew and (not hint or "." in key) else ""
    if hint and other:
        hint = f"{hint.removesuffix('?')}? {other}"
    return f"{key}: unknown key; {hint or other or _what_there_is(key, names)}"


def _synonym(key: str, value: str, names: list[str]) -> str:
    parent, _, last = plain_word(key).rpartition(".")
    if (last in IMAGE_SIZE and parent in ("", "dataset")) or key == "resize":
        sized = "dataset.size" if "dataset.size" in names else "dataset.resize"
        return f"did you mean {sized}={value}?" if key != sized else ""
    remedy = KEYS.get(plain_word(key)) or (KEYS.get(last) if parent else None)
    if remedy is None:
        return ""
    remedy = remedy.replace("{}", value)
    first = remedy.partition("=")[0]
    if plain_word(key) not in KEYS:  # a synonym inside a group: optimizer.generator.learning_rate
        if f"{parent}.{first}" in names:
            return f"did you mean {parent}.{remedy}?"
        return f"did you mean {remedy}?" if parent and first.startswith(f"{parent}.") else ""
    return f"did you mean {remedy}?" if re.fullmatch(r"[\w.]+=\S+( [\w.]+=\S+)*", remedy) else remedy


def _nearest_key(key: str, names: list[str]) -> str:
    """The names that are most like `key`, or end most like it."""
    parts = key.split(".")
    ranked: list[tuple[float, int, str]] = []
    for name in names:
        ends = name.split(".")
        if len(ends) >= len(parts):
            pairs = zip(parts, ends[-len(parts) :], strict=True)
            alike = min(similarity(part, end) for part, end in pairs)
            whole = len(ends) == len(parts)
            if alike >= (NEAR if whole else SURE):
                ranked.append((alike + whole, -len(ends), name))
    best = max(ranked, default=None)
    if best is None:
        return ""
    found = [name for alike, depth, name in ranked if (alike, depth) == best[:2]]
    return f"did you mean {or_list(found[:MOST])}?"


def _of_another_option(key: str, value: str) -> str:
    """The options that have the key, where the chosen option of a group lacks it."""
    available = {group: options for group, options in catalog.groups().items() if group != "experiment"}
    group, _, inner = key.partition(".")
    where = {group: inner} if group in available else {} if inner else dict.fromkeys(available, key)
    keys = {
        (name, option): [setting.key for setting in catalog.settings_of(path)]
        for name in where
        for option, path in available[name].items()
    }
    for least in (1.0, SURE):
        for name, wanted in where.items():
            having = {
                option: [key for key in inside if _fits(wanted, key, name == group, least)]
                for (owner, option), inside in keys.items()
                if owner == name
            }
            fitting = sorted((option for option, fits in having.items() if fits), key=_preference)
            if fitting:
                owners = or_list(fitting) if len(fitting) <= MOST else f"{', '.join(fitting[:MOST])} and others"
                verb = "has" if len(fitting) == 1 else "have"
                words = f"{name}={fitting[0]} {name}.{having[fitting[0]][0]}={value}"
                return f"{name}={owners} {verb} it: {words}"
    return ""


def _fits(wanted: str, key: str, whole: bool, least: float) -> bool:
    """Whether the similarity of `wanted` to the key, or unless `whole` to its end, is at `least` so high."""
    parts, ends = wanted.split("."), key.split(".")
    if len(parts) > len(ends) or (whole and len(parts) < len(ends)):
        return False
    return all(similarity(part, end) >= least for part, end in zip(parts, ends[-len(parts) :], strict=True))


def _preference(option: str) -> tuple[int, str]:
    return (PREFERRED.index(option) if option in PREFERRED else len(PREFERRED), option)


def _what_there_is(key: str, names: list[str]) -> str:
    """The keys beside the unknown one, where they are few."""
    parent = key.rpartition(".")[0]
    inside = [name for name in names if name.startswith(f"{parent}.")] if parent else []
    if inside:
        return f"known are {', '.join(inside)}" if len(inside) <= LISTABLE else SEE_HELP
    if parent in GROUPS:
        return f"{parent} has none that can be set"
    if parent in names:
        return f"{parent} is a value and has no keys"
    return SEE_HELP


def has_keys(key: str, value: object) -> str:
    """For a value in the place of keys: an option is chosen with the name of its group."""
    group = key.partition(".")[0]
    options = catalog.groups().get(group, {})
    if isinstance(value, str) and value in options:
        return f"{key} is a group of keys; to choose {value}: {group}={value}"
    return f"is a group of keys; set those, or choose an option: {group}={'|'.join(options)}"


def unknown_option(group: str, option: str, options: Iterable[str]) -> str:
    """The sentence for an option that a group doesn't have."""
    names = list(options)
    tries: tuple[Callable[[], str], ...] = (
        lambda: _place(group, option),
        lambda: _option_synonym(group, option, names),
        lambda: alike(option, names, SURE),
        lambda: _containing(option, names),
        lambda: _elsewhere(group, option),
        lambda: alike(option, names, NEAR),
        lambda: f"known are {', '.join(names)}" if len(names) <= LISTABLE else f"gan-exp train --help {group}",
    )
    hint = next(filter(None, (attempt() for attempt in tries)))
    return f"{group}={option}: no such option; {hint}"


def _place(group: str, option: str) -> str:
    """For a path in the place of a data set's name, or an index in the place of a device's."""
    if group == "dataset" and re.search(r"[/~\\]|^\.", option):
        return f"for a folder of images: dataset=folder dataset.root={option}"
    numbered = re.fullmatch(r"(?:cuda|gpu)?:?(\d+)", option) if group == "device" else None
    return f"did you mean device=cuda device.index={numbered[1]}?" if numbered else ""


def _option_synonym(group: str, option: str, names: list[str]) -> str:
    remedy = OPTIONS.get((group, plain_word(option)), "")
    simple = all(word in (*names, "or") for word in remedy.split())
    return f"did you mean {remedy}?" if remedy and simple else remedy


def alike(option: str, names: list[str], least: float) -> str:
    """A suggestion of the name most like `option`, if its similarity is at `least` so high."""
    ranked = sorted(((similarity(option, name), name) for name in names), reverse=True)
    return f"did you mean {ranked[0][1]}?" if ranked and ranked[0][0] >= least else ""


def _containing(option: str, names: list[str]) -> str:
    """A suggestion of names that contain `option`: recipes and data sets are often shortened."""
    found = [name for name in names if plain_word(option) in name] if len(option) >= 4 else []
    return f"did you mean {or_list(found)}?" if len(found) in range(1, 2 * MOST + 1) else ""


def _elsewhere(group: str, option: str) -> str:
    """For an option of another group: hinge is a loss."""
    if group not in GROUPS:
        return ""
    every = [(other, name) for other, options in catalog.groups().items() if other != group for name in options]
    other, name = max(every, key=lambda pair: similarity(option, pair[1]))
    if name == "none" or similarity(option, name) < SURE:
        return ""
    return f"{name} is {GROUPS[other]}: {other}={name}"
