"""Files that are whole or not there, directories that no other run has, and JSON as its standard has it."""

import json
import math
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_exp.errors import UserError

PARTIAL = ".partial"  # the ending of what isn't whole yet


def make_unique_directory(wanted: str) -> str:
    """Make the directory `wanted`, or `wanted`-2, -3, ... where it exists: two runs of one second never share one."""
    path = Path(wanted)
    number = 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir()
                return str(path)
            except FileExistsError:
                number += 1
                path = Path(f"{wanted}-{number}")
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: can't be written ({error.strerror or error}); choose another directory with hydra.run.dir=... "
        f"(of a sweep: hydra.sweep.dir=...)"
    )


def write_atomically(path: Path, content: str | bytes, durable: bool = True, exclusive: bool = False) -> None:
    """Replace `path` by a file that is whole before it gets its name, and with `durable` outlives a power cut.

    With `exclusive`, raises FileExistsError where there is one already.
    """
    data = content.encode() if isinstance(content, str) else content
    # In the same directory, since a rename can't cross file systems; no other thread's, nor another machine's.
    spare = path.with_name(f".{path.name}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        with spare.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if exclusive:
            _name_exclusively(spare, path)
        else:
            os.replace(spare, path)
    except BaseException:
        with suppress(OSError):
            spare.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def _name_exclusively(spare: Path, path: Path) -> None:
    """A link fails where the name is taken; a rename would not."""
    try:
        path.hardlink_to(spare)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: what is not whole yet has the name for a moment
        with path.open("xb") as file:
            file.write(spare.read_bytes())
    spare.unlink()


def sync_directory(path: Path) -> None:
    """Let the names in it outlive a power cut; Windows can't open directories and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_text(content: Any, indent: int | None = None) -> str:
    """`content` with null for each number that isn't finite; whoever writes one says why beside it."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
