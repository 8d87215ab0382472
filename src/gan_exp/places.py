"""Paths as users write them: `~` is the home directory, wherever the shell has left it as it stands."""

from pathlib import Path

from gan_exp.errors import UserError


def expanded(text: str, key: str) -> Path:
    """`text` with its `~` replaced. Raises UserError, which names `key`, where there is no home directory."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or no home directory
        if text.startswith("~") and text[1:2] in ("", "/"):
            raise UserError(
                f"{key}={text}: ~ stands for the home directory, and there is none here; write the path in full"
            ) from None
        return Path(text)
