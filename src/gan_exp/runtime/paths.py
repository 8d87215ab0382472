"""Paths as users write them: `~` is the home directory, wherever the shell has left it as it stands."""

import shlex
from pathlib import Path

from gan_exp.errors import UserError


def expand_user(text: str, key: str, variable: str | None = None) -> Path:
    """`text` with its `~` replaced. Raises UserError, which names `key`, where there is no home directory.

    So it is in a container that is given a user's number alone. `variable` of the environment sets the path too.
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
    """Relative to where the user stands, where it lies below: short enough for one line; quoted, to be pasted."""
    here, path = Path.cwd(), path.resolve()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
