"""The runs that the words of a command name: runs, sweeps, and folders of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.errors import UserError
from gan_exp.runs.run_names import find
from gan_exp.runtime.paths import expand_user, is_directory

if TYPE_CHECKING:
    from gan_exp.comparison.records import RunRecord

PLACES_HELP = "`latest`, the directory or short name of a run or a sweep, or a folder with some of them"


def find_place(name: str) -> Path:
    """A directory, or what `find` finds by another name. Raises UserError if there is none."""
    path = expand_user(name, "RUN")
    place = path if is_directory(path) else find(name)
    return place.resolve() if place.is_symlink() else place  # latest: its name says nothing


def read_places(names: Iterable[str]) -> "Sequence[RunRecord]":
    """The runs at and below each place, and the jobs submitted there. Raises UserError if one of them holds none."""
    from gan_exp.comparison.records import read_runs
    from gan_exp.comparison.submitted import with_submitted

    places = {name: find_place(name) for name in names}
    records = with_submitted(read_runs(places.values()), places.values())
    for name, place in places.items():
        if not any(record.path == place or place in record.path.parents for record in records):
            raise UserError(f"{name}: there are no runs in this folder; train one with `gan-exp train`")
    return records
