"""One sentence for an error of Hydra or OmegaConf: their own messages have several lines and name no remedy."""

import re
from collections.abc import Sequence

from gan_exp.config.catalog import config_dirs, known_keys
from gan_exp.config.mistakes.unknown import has_keys, unknown_key, unknown_option
from gan_exp.config.overrides import as_written
from gan_exp.errors import TrainingFault, UserError


def explain(error: BaseException, words: Sequence[str]) -> str:
    """`words` are the user's. If Hydra has wrapped an error of this package, the sentence is that error's."""
    from hydra.errors import MissingConfigException, OverrideParseException

    ours = _ours(error)
    if ours is not None:
        return str(ours)
    text = re.sub(r" full_key: (\S+) object_type=\w+$", r" (in \1)", " ".join(str(error).split()))
    if text.startswith("Ambiguous value for argument"):
        return _several_values(text.split("'")[1])
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_file(str(error.missing_cfg_file), error.options or ())
    return _unknown_key(error, text, words) or _in_the_place_of_keys(text) or text or type(error).__name__


def _ours(error: BaseException) -> Exception | None:
    cause: BaseException | None = error
    seen: set[int] = set()  # Hydra sometimes raises an error from itself: the chain can be a ring
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, UserError | TrainingFault):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def _several_values(word: str) -> str:
    decimal = re.fullmatch(r"([\w.]+=0),(0\d+)", word)
    if decimal:
        fraction = ".".join(decimal.groups())
        return f"{word}: several values are a sweep, which needs -m; a fraction is written {fraction}"
    return f"{word}: several values are a sweep, which -m runs one by one; a list is written key=[value1,value2]"


def _missing_file(name: str, options: Sequence[str]) -> str:
    # Hydra's own groups have a slash in their names; after another group it is part of a path.
    group, _, option = name.rpartition("/") if name.startswith("hydra/") else name.partition("/")
    return unknown_option(group, option, options) if "/" in name else f"{name}: no such file"


def _unknown_key(error: BaseException, text: str, words: Sequence[str]) -> str:
    """Empty if the error is another one."""
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    missing = isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError)
    group = re.search(r"(?:Could not override|No match in the defaults list for) '([^'@]+)'", text)
    key = getattr(error.__cause__, "full_key", None) if missing else group and group[1]
    if not key:
        return ""
    overrides = [as_written(word).lstrip("+") for word in words]
    # For discriminator.lr=1 Hydra names discriminator alone.
    whole = (word.partition("=")[0] for word in overrides if word.startswith(f"{key}.") and "=" in word)
    return unknown_key(next(whole, str(key)), known_keys(overrides, config_dirs(words)), overrides)


def _in_the_place_of_keys(text: str) -> str:
    """For a list where OmegaConf has keys; empty if the error is another one."""
    file = re.match(r"In '([^']+)'.* Cannot merge DictConfig with ListConfig", text)
    if file is not None:
        return f"{file[1]}: has a list in the place of a group of keys; write each as key: value"
    word = text.removeprefix("Error merging override ")
    key, _, value = word.partition("=")
    within_group = word != text and any(known.startswith(f"{key}.") for known in known_keys())
    return f"{word}: {has_keys(key, value)}" if within_group else ""


def _unreadable(word: str) -> str:
    """For a word that Hydra's grammar has no place for; its parser's messages don't help a user."""
    key, _, value = word.partition("=")
    if key == "dataset" and re.search(r"[/~\\]", value):
        return unknown_option(key, value, ())
    if re.fullmatch(r"\([^()]*\)", value):
        return f"{word}: can't be read as key=value; a list is written {key}=[{value[1:-1]}]"
    return (
        f"{word}: can't be read as key=value (brackets and quotes must match, other signs need quotes around the value)"
    )
