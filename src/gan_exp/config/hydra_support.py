"""Resolvers for the YAML files, names for a sweep's runs, and a mend for Python 3.14."""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gan_exp.config.targets import resolve_target
from gan_exp.config.usual import usual
from gan_exp.runtime.files import make_unique_directory

LONGEST_LABEL = 100  # letters
LONGEST_NAME = 200  # bytes; file systems take names of 255


def register_resolvers(constants: Collection[str] = ()) -> list[str]:
    """`gan_exp.new_directory` makes a directory that no other run has; `gan_exp.label` makes words a file's name.

    `gan_exp.job_name` names a run of a sweep by its number and its words, without those of `constants`.
    `gan_exp.clip` and `gan_exp.batch_norm` are defaults that depend on the penalty, `gan_exp.usual` on the model.

    The directory is cached, so that each run of a sweep means the same one. Returns the list of the directories that
    will have been made. `constants` may be filled later.
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
    OmegaConf.register_new_resolver("gan_exp.usual", usual, replace=True)
    return made


def label(overrides: object) -> str:
    """A run's name or its overrides as part of a directory's name; a long one ends with a hash of the whole."""
    text = str(overrides)
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if _cut(name) == name:
        return name
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()
    return f"{_cut(name, len(digest) + 1)}-{digest}"


def _cut(name: str, spared: int = 0) -> str:
    return name[: LONGEST_LABEL - spared].encode()[: LONGEST_NAME - spared].decode(errors="ignore")


def job_label(words: Sequence[str], constants: Collection[str]) -> str:
    """The words that distinguish a run of a sweep: all but those of the keys that have one value in it."""
    return ",".join(word for word in words if word.partition("=")[0] not in constants)


def usual_clip(penalty: str | None, spectral_norm: bool) -> float | None:
    """The default of loss.clip: null if the penalty or spectral normalisation bounds D's gradient already."""
    return None if spectral_norm or _says(penalty, "bounds_gradient") else 0.01


def usual_batch_norm(penalty: str | None) -> bool:
    """The default of D's batch_norm: false if the penalty needs each image's own gradient, which BatchNorm mixes."""
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
