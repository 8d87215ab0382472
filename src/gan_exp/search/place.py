"""Where a search is: its directory, its database, and the name of its study there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from gan_exp.errors import UserError
from gan_exp.runs.run_names import is_run_or_sweep
from gan_exp.runtime.paths import expand_user, path_from_here
from gan_exp.search.study import FILE, NAME, open_storage, read_record


class Place:
    """`directory` is as the user wrote it, `url` the database's; None stands for SQLite in the directory."""

    def __init__(self, directory: str, url: str | None, study: str | None) -> None:
        self.directory = expand_user(directory, "--dir")
        if is_run_or_sweep(self.directory):
            raise UserError(f"--dir {directory}: holds a run or a sweep; choose another directory")
        if study is not None and url is None:
            raise UserError(f"--study {study}: names a study in a database; name that with --storage")
        self._url = url
        self.study = study or (NAME if url is None else self.directory.resolve().name)
        self.shown = path_from_here(self.directory)
        self._storage: BaseStorage | None = None

    def storage(self) -> BaseStorage:
        """Raises UserError if the database can't be reached."""
        if self._storage is None:
            self._storage = open_storage(self.directory, self._url)
        return self._storage

    def record(self) -> dict[str, Any] | None:
        """What the search asks that is here already, if there is one."""
        if self._url is None and not (self.directory / FILE).is_file():
            return None
        return read_record(self.storage(), self.study, self.shown)

    @contextmanager
    def made(self) -> Iterator[Path]:
        """Make the directory; it is removed again if the block fails and has left it empty."""
        missing = [path for path in (self.directory, *self.directory.parents) if not path.exists()]
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / f".{NAME}").touch()  # whether it can be written
            (self.directory / f".{NAME}").unlink()
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"--dir {self.directory}: can't be written ({reason}); choose another directory") from error
        try:
            yield self.directory
        except BaseException:
            with suppress(OSError):
                for path in missing:
                    path.rmdir()
            raise
