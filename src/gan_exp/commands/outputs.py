"""The option --output of the commands that make files: nothing is overwritten without --force, or left half written."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_exp.commands.arguments import Parser
from gan_exp.errors import UserError, or_list
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.paths import expand_user


def add_output(parser: Parser, default: str, text: str) -> None:
    parser.add_argument("--output", default=default, metavar="FILE", help=f"{text} (default {default})")
    parser.add_argument("--force", action="store_true", help="overwrite what exists")


def find_output(options: Namespace, endings: Sequence[str]) -> Path:
    """The file that --output names. Raises UserError for another ending, and for what exists unless --force is given.

    Commands call it before their work, so that none is lost.
    """
    path = expand_user(options.output, "--output")
    if path.suffix.lower() not in endings:
        raise UserError(f"--output {path}: must end in {or_list(endings)}")
    refuse_existing(path, options.force)
    return path


def refuse_existing(path: Path, force: bool) -> None:
    """Raises UserError if `path` exists and may not be overwritten."""
    try:
        exists = path.exists()
    except OSError as error:
        raise cannot_write(path, error) from error
    if exists and not force:
        raise UserError(f"--output {path}: exists; name another file, or overwrite it with --force")


def write_output(path: Path, content: bytes, force: bool, check: Callable[[Path], object] | None = None) -> None:
    """Write the whole of `path`, with the folders that it lies in, or nothing; also nothing if `check` raises."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, durable=False, exclusive=not force, check=check)
    except OSError as error:
        if isinstance(error, FileExistsError):  # it came into being meanwhile, or a file is in the place of a folder
            refuse_existing(path, force)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"--output {path}: can't be written ({error.strerror or error})")
