"""Atomic writes, directories that no other run uses, and JSON according to its standard."""

import json
import math
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_exp.errors import UserError

PARTIAL = ".partial"  # the ending of a file that is being written


def make_unique_directory(wanted: str) -> str:
    """Create `wanted`, or `wanted`-2, -3, ... where it exists: two runs started in one second don't share one."""
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


def write_atomically(
    path: Path,
    content: str | bytes,
    durable: bool = True,
    exclusive: bool = False,
    check: Callable[[Path], object] | None = None,
) -> None:
    """Write `path` so that it holds the old or the new content, never a part; `durable`: also after a power cut.

    With `exclusive`, raises FileExistsError where it exists. `check` is given the written file before it gets its name:
    if it raises, nothing has changed.
    """
    data = content.encode() if isinstance(content, str) else content
    # In the same directory, since a rename can't cross file systems; random, so that no other writer uses the name.
    spare = path.with_name(f".{path.name}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        with spare.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if check is not None:
            check(spare)
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
    """A hard link fails where the name is taken; a rename would replace the file."""
    try:
        path.hardlink_to(spare)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is visible before the content is complete
        with path.open("xb") as file:
            file.write(spare.read_bytes())
    spare.unlink()


def sync_directory(path: Path) -> None:
    """Make renames in this directory survive a power cut. Windows can't open directories and doesn't need it."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_text(content: Any, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """`content` as JSON, with null for each number that isn't finite."""
    return json.dumps(_finite(content), indent=indent, separators=separators, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
