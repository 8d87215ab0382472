"""Paths as users write them, with `~` for the home directory where the shell has not replaced it."""

import shlex
from pathlib import Path

from gan_exp.errors import UserError


def expand_user(text: str, key: str, variable: str | None = None) -> Path:
    """`text` with its `~` replaced. Raises UserError if there is no home directory, as in some containers.

    The message names `key`, and the environment `variable` that can set the path instead.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or no home directory
        if text.startswith("~") and text[1:2] in ("", "/"):
            remedy = "write the path in full" + (f", or set {variable} to a folder" if variable else "")
            raise UserError(
                f"{key}={text}: ~ stands for the home directory, and there is none here; {remedy}"
            ) from None
        return Path(text)


def path_from_here(path: Path) -> str:
    """`path` quoted for the shell, and relative to the current directory if it lies below it."""
    here, path = Path.cwd(), path.resolve()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def is_directory(path: Path) -> bool:
    """False also for what is no valid name of a file, where `Path.is_dir` raises."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
