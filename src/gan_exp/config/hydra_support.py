"""What Hydra needs to do its work our way: resolvers, a guard, and its errors in one sentence."""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from gan_exp.config.catalog import known_keys
from gan_exp.config.hints import unknown_key, unknown_option
from gan_exp.config.overrides import as_written
from gan_exp.config.targets import resolve_target
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runtime.files import make_unique_directory

LONGEST_LABEL = 100  # letters
LONGEST_NAME = 200  # bytes; file systems take names of 255


def register_resolvers(constants: Collection[str] = ()) -> list[str]:
    """`gan_exp.new_directory` makes a directory that no other run has; `gan_exp.label` makes words a file's name.

    `gan_exp.job_name` names a run of a sweep by its number and its words, without those of `constants`.
    `gan_exp.clip` and `gan_exp.batch_norm` are defaults that depend on the penalty.

    Cached, so that a configuration that is sent to another process means the same directory there. Returns the list
    of the directories that will have been made.
    """
    from omegaconf import OmegaConf

    made: list[str] = []

    def new_directory(wanted: str) -> str:
        made.append(make_unique_directory(wanted))
        return made[-1]

    OmegaConf.register_new_resolver("gan_exp.new_directory", new_directory, use_cache=True, replace=True)

    def job_name(number: object, words: Sequence[str]) -> str:
        own = job_label(words, constants)
        return f"{number}-{label(own)}" if own else str(number)

    OmegaConf.register_new_resolver("gan_exp.label", label, replace=True)
    OmegaConf.register_new_resolver("gan_exp.job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("gan_exp.clip", usual_clip, replace=True)
    OmegaConf.register_new_resolver("gan_exp.batch_norm", usual_batch_norm, replace=True)
    return made


def label(overrides: object) -> str:
    """A run's name or a job's overrides as part of a directory's name; what is cut off still makes a difference."""
    text = str(overrides)
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if _cut(name) == name:
        return name
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()
    return f"{_cut(name, len(digest) + 1)}-{digest}"


def _cut(name: str, spared: int = 0) -> str:
    return name[: LONGEST_LABEL - spared].encode()[: LONGEST_NAME - spared].decode(errors="ignore")


def job_label(words: Sequence[str], constants: Collection[str]) -> str:
    """What a sweep's run is told by: its values of the keys that have several in the sweep."""
    return ",".join(word for word in words if word.partition("=")[0] not in constants)


def constant_keys(words: Sequence[str]) -> set[str]:
    """The keys that have one value only in a sweep over `words`; other sweepers than Hydra's may add keys."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    constants = set()
    for word in words:
        with suppress(HydraException, ValueError):  # what can't be read, or counted, is no constant
            override = OverridesParser.create().parse_override(word)
            several = override.is_sweep_override() and len(list(islice(override.sweep_string_iterator(), 2))) > 1
            if not several:
                constants.add(override.get_key_element())
    return constants


def usual_clip(penalty: str | None, spectral_norm: bool) -> float | None:
    """A Wasserstein D is bounded by one thing at a time: by its weights, unless something else does it."""
    return None if spectral_norm or _says(penalty, "bounds_gradient") else 0.01


def usual_batch_norm(penalty: str | None) -> bool:
    """A penalty on the gradient of each image's own logit needs a D that doesn't mix them, as BatchNorm does."""
    return not _says(penalty, "per_sample")


def _says(penalty: str | None, attribute: str) -> bool:
    return penalty is not None and bool(getattr(resolve_target("penalty", penalty), attribute, False))


def guard_python_3_14() -> None:
    """Hydra 1.3 hands argparse a help object that is no string, which Python 3.14's argparse looks into and fails.

    Hydra 1.4 mends it; until then the check is skipped for such objects. Nothing changes on older Pythons.
    """
    import argparse

    original: Callable[..., Any] | None = getattr(argparse.ArgumentParser, "_check_help", None)
    if original is None or getattr(original, "skips_objects", False):
        return

    def check_help(self: argparse.ArgumentParser, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            original(self, action)

    check_help.skips_objects = True  # type: ignore[attr-defined]
    argparse.ArgumentParser._check_help = check_help  # type: ignore[attr-defined]


def explain(error: BaseException, words: list[str]) -> str:
    """One sentence for what Hydra or OmegaConf raised."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    cause: BaseException | None = error
    seen: set[int] = set()  # Hydra raises a cause from itself at times: a chain can be a ring
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, UserError | TrainingFault):
            return str(cause)
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    text = re.sub(r" full_key: (\S+) object_type=\w+$", r" (in \1)", " ".join(str(error).split()))
    if text.startswith("Ambiguous value for argument"):
        values = text.split("'")[1]
        decimal = re.fullmatch(r"([\w.]+=0),(0\d+)", values)
        if decimal:
            fraction = ".".join(decimal.groups())
            return f"{values}: several values are a sweep, which wants -m; a fraction is written {fraction}"
        return f"{values}: several values are a sweep, which -m runs one by one; a list is written key=[value1,value2]"
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        name = str(error.missing_cfg_file)
        # A group of Hydra's own has a slash in its name; behind another's it belongs to a path.
        group, _, option = name.rpartition("/") if name.startswith("hydra/") else name.partition("/")
        return unknown_option(group, option, error.options or ()) if "/" in name else f"{name}: no such file"
    missing = isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError)
    key = getattr(error.__cause__, "full_key", None) if missing else _unknown_group(text)
    if key:
        extra = [Path(directory) for directory in option_values(words, ("--config-dir", "-cd"))]
        overrides = [as_written(word).lstrip("+") for word in words]
        # Of discriminator.lr=1 Hydra says that there is no discriminator.
        whole = (word.partition("=")[0] for word in overrides if word.startswith(f"{key}.") and "=" in word)
        return unknown_key(next(whole, str(key)), known_keys(overrides, extra), overrides)
    return text or type(error).__name__


def _unreadable(word: str) -> str:
    """For what isn't of Hydra's grammar; its parser's words are of no use to a user."""
    key, _, value = word.partition("=")
    if key == "dataset" and re.search(r"[/~\\]", value):
        return unknown_option(key, value, ())
    if re.fullmatch(r"\([^()]*\)", value):
        return f"{word}: can't be read as key=value; a list is written {key}=[{value[1:-1]}]"
    return (
        f"{word}: can't be read as key=value (brackets and quotes must match, other signs want quotes around the value)"
    )


def _unknown_group(text: str) -> str | None:
    found = re.search(r"(?:Could not override|No match in the defaults list for) '([^'@]+)'", text)
    return found[1] if found else None


def option_values(words: list[str], options: tuple[str, ...]) -> list[str]:
    """What stands behind any of `options`, as `--option value` or `--option=value`."""
    found = [after for word, after in pairwise(words) if word in options]
    return found + [word.split("=", 1)[1] for word in words if word.split("=", 1)[0] in options and "=" in word]
