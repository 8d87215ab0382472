"""key=value overrides: quoted for Hydra's grammar in a new run, and applied to the configuration of an existing one."""

import copy
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_exp.config.catalog import is_text
from gan_exp.config.mistakes.unknown import unknown_key
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user

# Keys that may change during a run: it stays the same experiment.
MAY_CHANGE = (
    "steps",
    "log_every_steps",
    "sample_every_steps",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "check_resources",
    "evaluate_every_steps",
    "evaluate_count",
    "best_metric",
    "display",
    "fast_path",
    "model.checkpointing",
    "micro_batch_size",  # refused later where BatchNorm would make a difference of it
    "dataset.license",
    "chosen",
)
# Keys that say where the data lies and how it is read. A run goes on with other values if they give the same data, as
# its digest tells when the data has been read.
MAY_CHANGE_WITH_THE_SAME_DATA = (
    "dataset.root",
    "dataset.cache",
    "dataset.labels",
    "dataset.skip_broken",
    "dataset.max_megapixels",
)
NEW_OF_DEVICE = ("device.processes", "device.precision", "device.merged_groups")  # runs of earlier versions lack them
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|" + r'"(?:[^"\\]|\\.)*"', re.DOTALL)  # as Hydra quotes a whole value
SWEEPS = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag)\(.*\)", re.DOTALL
)  # Hydra's functions with several values


def for_hydra(word: str, sweeping: bool) -> str:
    """Quote the value of a key that holds a path or a name, so that Hydra takes it literally.

    Hydra still reads null, a value that the user quoted, `${...}`, and in a sweep the comma between values (not
    within brackets) and functions such as choice().
    """
    _refuse_endless_number(word)
    key, separator, value = word.partition("=")
    if not separator or key.startswith("~") or not is_text(key) or value in ("", "null"):
        return word
    if sweeping and SWEEPS.fullmatch(value):
        return word
    if key.startswith("hydra.") and value.startswith("~"):  # where runs go; data sets expand their own paths
        value = str(expand_user(value, key))
    values = split_values(value) if sweeping and not key.startswith("hydra.") else [value]
    return f"{key}={','.join(one if QUOTED.fullmatch(one) else quoted(one) for one in values)}"


def _refuse_endless_number(word: str) -> None:
    """Python makes no number of so many digits, and Hydra's parser doesn't expect that."""
    most = sys.get_int_max_str_digits()  # 0: any number of them
    if most and re.search(rf"\d{{{most + 1}}}", word.replace("_", "")):
        raise UserError(f"{word[:40]}...: has a number with thousands of digits; write a shorter one, such as 1e9")


def as_written(word: str) -> str:
    """The word before `for_hydra` quoted it, where the quotes are plain."""
    key, _, value = word.partition("=")
    plain = is_text(key) and QUOTED.fullmatch(value) and not set(value[1:-1]) & set("\\'$,")
    return f"{key}={value[1:-1]}" if plain else word


def quoted(text: str) -> str:
    """Quote `text` for Hydra's grammar and OmegaConf's; a valid `${...}` stays an interpolation."""
    from hydra.core.override_parser.types import Quote, QuotedString
    from omegaconf import grammar_parser
    from omegaconf.errors import GrammarParseError

    try:
        grammar_parser.parse(text)
    except GrammarParseError:
        text = re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", text)
    return QuotedString(text, Quote.single).with_quotes()


def split_values(text: str) -> list[str]:
    """Split at commas outside of brackets and quotes; a quote counts only at the beginning of a value."""
    values, depth, quote = [""], 0, ""
    for letter in text:
        if quote or (letter in "'\"" and not values[-1]):
            quote = "" if letter == quote else quote or letter
        depth = max(0, depth + (letter in "([{") - (letter in ")]}"))
        if letter == "," and depth == 0 and not quote:
            values.append("")
        else:
            values[-1] += letter
    return values


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str], may_add: Sequence[str] = ()) -> dict[str, Any]:
    """A copy of `config` with each `dotted.key=value` set. Raises UserError for keys that it doesn't have.

    A run of an earlier version may lack a key that may change during a run, or one that `may_add` names.
    """
    addable = {*MAY_CHANGE, *MAY_CHANGE_WITH_THE_SAME_DATA, *NEW_OF_DEVICE, *may_add}
    changed = copy.deepcopy(dict(config))
    for override in overrides:
        _refuse_endless_number(override)
        key, separator, text = override.partition("=")
        if not separator:
            raise UserError(f"{override}: must be written key=value, such as steps=20000")
        *parents, last = key.split(".")
        node: Any = changed
        for parent in parents:
            node = node.get(parent) if isinstance(node, Mapping) else None
        if not isinstance(node, dict) or (last not in node and key not in addable):
            raise UserError(unknown_key(key, leaf_keys(changed), overrides, anew=False))
        if isinstance(node.get(last), Mapping):
            raise UserError(f"{override}: {key} is a group, whose options can't be chosen anew for a run that exists")
        try:
            as_it_stands = is_text(key) and text not in ("", "null") and not QUOTED.fullmatch(text)
            node[last] = text if as_it_stands else read_yaml(text)
            json.dumps(node[last])  # fails for a value that contains itself, or of a type that JSON lacks
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{override}: the value can't be read ({' '.join(str(error).split())})") from error
    return changed


def leaf_keys(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values that aren't mappings."""
    return list(leaves(node, prefix))


def leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All values that aren't mappings, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value  # a key of YAML can be a number
    return found


def differing_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The dotted keys whose values make `after` another experiment; keys that only one has are of another version.

    Where the data is read from makes none: whether it is the same data shows when it has been read.
    """
    old, new = leaves(before), leaves(after)
    may_change = {*MAY_CHANGE, *MAY_CHANGE_WITH_THE_SAME_DATA}
    same_everywhere = (key for key in new if key in old and key not in may_change and not key.startswith("device."))
    return [key for key in same_everywhere if old[key] != new[key]]


def reads_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether `after` reads the data from another place, or in another way."""
    old, new = leaves(before), leaves(after)
    return any(old.get(key) != new.get(key) for key in MAY_CHANGE_WITH_THE_SAME_DATA)


def refuse_another_experiment(before: Mapping[str, Any], after: Mapping[str, Any], place: Path) -> None:
    """Raises UserError if `after` would make another experiment of the run in `place`, begun with `before`."""
    differing = differing_keys(before, after)
    if differing:
        were = ", ".join(f"{key}={leaves(before)[key]}" for key in differing)
        raise UserError(
            f"{', '.join(differing)}: {place} was begun with {were}, this would be another experiment; "
            f"use those values again, or another directory"
        )
