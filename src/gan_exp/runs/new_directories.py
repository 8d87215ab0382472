"""Removes the directories that a command made for its runs and left empty, so that bad input leaves nothing behind.

Directories that existed before are kept, empty ones too, and so are those of which that is unknown.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan_exp.runs.run_names import OUTPUTS, SWEEP_FILE


class NewDirectories:
    """Create it before Hydra makes directories: it remembers what exists in outputs/ and at the `given` places."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given = [Path(place).absolute() for place in given]
        self._listed = {OUTPUTS.absolute(), *self._given}
        self._seen = {path for place in self._listed for path in (place, *place.parents)}
        self._there: set[Path] = set()
        for path in self._seen:
            with suppress(OSError, ValueError):  # not a valid name of a file
                self._there |= {path} if path.exists() else set()
                self._there |= set(path.iterdir()) if path in self._listed else set()

    @contextmanager
    def removed_if_unused(self, directory: str, made: bool = False) -> Iterator[None]:
        """Remove `directory` if the block ends with an exception; `made`: the command has made it."""
        try:
            yield
        except BaseException:
            self._remove(Path(directory).absolute(), made)
            raise

    def remove_unused(self, made: Iterable[str]) -> None:
        """Remove the `made` ones and those at the given places; in a sweep's also Hydra's record and empty folders."""
        for place, ours in [*((Path(place).absolute(), True) for place in made), *((p, False) for p in self._given)]:
            with suppress(OSError, ValueError):
                if (place / SWEEP_FILE).exists():
                    for path in place.iterdir():
                        if path.is_dir() and (ours or self._is_new(path)):
                            self._remove(path, made=True)
                if (ours or self._is_new(place)) and [path.name for path in place.iterdir()] == [SWEEP_FILE]:
                    (place / SWEEP_FILE).unlink()
            self._remove(place, ours)

    def _remove(self, path: Path, made: bool) -> None:
        """Remove `path` and the new directories above it, as far as they are empty."""
        with suppress(OSError, ValueError):
            while made or self._is_new(path):
                path.rmdir()
                path, made = path.parent, False

    def _is_new(self, path: Path) -> bool:
        if path in self._there or path == path.parent:
            return False
        return path in self._seen or path.parent in self._listed or self._is_new(path.parent)


def given_places(words: Iterable[str]) -> list[str]:
    """The directories for runs that `words` name, as far as they are known before Hydra composes the configuration."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = []
    for word in words:
        if word.startswith(("hydra.run.dir=", "hydra.sweep.dir=")):
            with suppress(HydraException, ValueError):
                value = OverridesParser.create().parse_override(word).value()
                if isinstance(value, str) and value and "${" not in value:
                    found.append(value)
    return found
