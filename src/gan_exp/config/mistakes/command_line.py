"""Sentences for words of a command line that are neither settings nor options."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from gan_exp.config import catalog
from gan_exp.config.catalog import is_text
from gan_exp.config.mistakes.synonyms import FLAGS, KEYS, plain_word
from gan_exp.config.mistakes.unknown import alike, unknown_option
from gan_exp.errors import NEAR, UserError, similarity
from gan_exp.runtime.paths import is_directory

NO_OPTION = r"(?i)true|false|null|[-+.\d]+"  # values that are no strings to Hydra, which a group's option must be


def refuse_malformed(word: str, before: str = "") -> None:
    """Refuse an override that Hydra reports without a clear sentence; `before` is the one that stands before it."""
    key, separator, value = word.partition("=")
    name = key.lstrip("+")
    if not separator and not word.startswith("~"):
        raise UserError(_no_override(word, before))
    if separator and key.lstrip("+~")[:1] in ("", "@"):
        raise UserError(f"{word}: has no key; it must be written key=value, such as model=mlp")
    no_option = re.fullmatch(NO_OPTION, value) and catalog.defaults().get(name) is not None
    if no_option or (value[:1] in ("[", "{") and name in catalog.groups()):  # one option, and no list
        raise UserError(unknown_option(name, value, catalog.groups()[name]))
    plugin = re.fullmatch(r"hydra[/.](launcher|sweeper)(\W.*)?", key.lstrip("+~"))
    if plugin is not None:
        raise UserError(_no_plugin(word, plugin[1]))
    if re.fullmatch(r"hydra\.(run|sweep)\.dir=\s*(''|\"\")?", word):
        raise UserError(f"{word}: is empty; name a directory, or leave it out")


def _no_plugin(word: str, kind: str) -> str:
    if kind == "launcher":
        return f"{word}: gan-exp starts the runs of a sweep itself, in their own processes; --jobs N trains N at once"
    return f"{word}: gan-exp combines the values of a sweep itself; to let Optuna choose them, use `gan-exp search`"


def _no_override(word: str, before: str) -> str:
    """The sentence for a word that isn't written key=value; `before` is the one that stands before it."""
    if is_text(before.partition("=")[0]) and "=" in before:
        return f"{word}: a value with spaces needs quotes around the whole word: '{before} {word}'"
    available, keys = catalog.groups(), {setting.key: setting.default for setting in catalog.root_keys()}
    key, colon, value = word.partition(":")
    if word in available:
        example = f"{word}={catalog.defaults().get(word) or next(iter(available[word]))}"
    elif word in keys:
        example = f"{word}={'...' if keys[word].startswith('$') else keys[word]}"
    elif is_text(word) and "." in word:
        example = f"{word}=..."
    elif colon and key in (*keys, *available):
        example = f"{key}={value or '...'}"
    else:
        example = _example(word, available)
    if word == "latest" or (is_directory(Path(word)) and (Path(word) / "config.yaml").is_file()):
        return f"{word}: is no setting of a new run; `gan-exp resume {shlex.quote(word)}` continues that run"
    return f"{word}: must be written key=value in one word, such as {example}"


def _example(word: str, available: dict[str, dict[str, Path]]) -> str:
    every = [(group, option) for group, options in available.items() for option in options]
    exact = next((f"{group}={option}" for group, option in every if plain_word(word) == option), None)
    path = Path(word)
    if path.stem in available.get(path.parent.name, ()):  # experiment/ring, conf/experiment/ring.yaml
        return f"{path.parent.name}={path.stem}"
    if exact is None and is_directory(path):
        return shlex.join(["dataset=folder", f"dataset.root={word}"])
    nearest = max(every, key=lambda pair: similarity(word, pair[1]))
    return exact or ("=".join(nearest) if similarity(word, nearest[1]) >= NEAR else "model=mlp")


def unknown_flag(option: str, value: str, known: Iterable[str], settings: bool) -> str:
    """The sentence for an unknown option with dashes; `settings`: the command takes key=value as well."""
    name, separator, behind = option.partition("=")
    value = behind if separator else value
    names, key = list(known), plain_word(name.lstrip("-"))
    keys = {*catalog.known_keys(), "hydra.run.dir"} if settings else set()
    remedy = KEYS.get(key, "") if settings else ""
    if key in keys:
        hint = f"settings are written without dashes: {key}={value or '...'}"
    elif remedy:
        joint = ":" if "={}" in remedy else ";"
        hint = f"settings are written without dashes{joint} {remedy.replace('{}', value or '...')}"
    elif FLAGS.get(name, "").partition(" ")[0] in names:
        hint = f"did you mean {FLAGS[name]}?"
    else:
        long = [known for known in names if known.startswith("--")]
        hint = alike(name, names, NEAR) or f"known are {', '.join(long)}"
    return f"{name}: unknown option; {hint}"
