"""Where a run or a sweep lies that is called by its path, by `latest`, or by its short name: the end of its path."""

import os
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gan_exp.errors import LISTABLE, UserError, did_you_mean
from gan_exp.runtime.paths import expand_user

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"
RUN_FILE = "config.yaml"  # every run has one
SWEEP_FILE = "multirun.yaml"  # Hydra's record, in a sweep's directory
DEPTH = 4  # directories below outputs that a run may lie in: outputs/<date>/<time>-sweep/<run>


def find(name: str) -> Path:
    """The directory of the run or the sweep `name`. Raises UserError where there is none, or where there are several.

    `name` is `latest`, a directory, or a short name of what lies under outputs/: its directory's name
    (10-10-39-mlp-digits) or more of the path's end, or only the first letters of that (10-10-39).
    """
    if name == "latest":
        return _latest()
    path = expand_user(name, "RUN")
    if is_run_or_sweep(path):
        return path
    fitting = matches(name, here := list_directories())
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{name}: fits {len(fitting)} runs; name one of {listed(fitting)}")
    raise UserError(_not_found(name, here))


def is_run_or_sweep(path: Path) -> bool:
    try:
        return (path / RUN_FILE).is_file() or (path / SWEEP_FILE).is_file()
    except OSError:  # a name that is too long for one, or a place that may not be looked into
        return False


def is_sweep(path: Path) -> bool:
    return (path / SWEEP_FILE).is_file()


def list_runs(sweep: Path) -> list[Path]:
    """The runs in a sweep's directory, however deep its user has put them."""
    return [path for path in list_directories(sweep, depth=sys.maxsize) if (path / RUN_FILE).is_file()]


def list_directories(root: Path = OUTPUTS, depth: int = DEPTH) -> list[Path]:
    """All runs and sweeps under `root`, oldest first as far as their paths have the time; no link is followed."""
    found: list[Path] = []
    for place, folders, files in os.walk(root):
        path = Path(place)
        if RUN_FILE in files or SWEEP_FILE in files:
            found.append(path)
        if RUN_FILE in files or len(path.relative_to(root).parts) >= depth:
            folders.clear()
    return sorted(found)


def matches(name: str, places: Iterable[Path]) -> list[Path]:
    """Those of `places` that `name` fits: to the letter if there are any such, else as the beginning of their names."""
    wanted = Path(name).parts
    if not wanted:
        return []
    ends = [(place, place.parts[-len(wanted) :]) for place in places]
    exact = [place for place, parts in ends if parts == wanted]
    return exact or [place for place, parts in ends if parts[:-1] == wanted[:-1] and parts[-1].startswith(wanted[-1])]


def short_name(place: Path) -> str:
    """What a user who stands here may call a run or a sweep: as little of its path as fits it alone."""
    place = place.resolve()
    here = list_directories()
    for one in here:
        if one.resolve() == place:
            ends = (Path(*one.parts[start:]) for start in reversed(range(len(one.parts))))
            return str(
                next(end for end in ends if end == one or (matches(str(end), here) == [one] and not end.exists()))
            )
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def short_names(places: list[Path]) -> list[str]:
    """One for each of `places`: its directory's name, or more of its path where several have that."""
    count = Counter(place.name for place in places)
    return [place.name if count[place.name] == 1 else f"{place.parent.name}/{place.name}" for place in places]


def _latest() -> Path:
    place = LATEST
    if place.is_file():  # where there are no symbolic links: a file with the path in it
        place = OUTPUTS / place.read_text().strip()
    if not is_run_or_sweep(place):
        raise UserError(
            "latest: there is no run under outputs/ here; train one with `gan-exp train`, or name its directory"
        )
    return place


def _not_found(name: str, here: list[Path]) -> str:
    fault = f"{name}: is not the directory of a run (it holds no {RUN_FILE})"
    with suppress(OSError):
        if Path(name).is_dir():
            return fault
    fault = f"{name}: is not the directory of a run, nor the name of one under outputs/ here"
    known = ["latest", *(place.name for place in here)]
    hint = did_you_mean(name, known, otherwise=f"the newest are {listed(here)}" if len(here) > LISTABLE else "")
    return f"{fault}; {hint if here else 'train one with `gan-exp train`'}"


def listed(places: list[Path]) -> str:
    """The newest of them, in a sentence."""
    shown = ", ".join(map(str, places[-LISTABLE:]))
    return f"{shown} (and {len(places) - LISTABLE} older ones)" if len(places) > LISTABLE else shown
