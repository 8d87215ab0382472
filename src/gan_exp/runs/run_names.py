"""Finding a run or a sweep by its path, by `latest`, or by a short name, which is the end of its path."""

import os
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from gan_exp.errors import LISTABLE, UserError, did_you_mean
from gan_exp.runtime.paths import expand_user

OUTPUTS = Path("outputs")
LATEST = OUTPUTS / "latest"
RUN_FILE = "config.yaml"  # every run has one
SWEEP_FILE = "multirun.yaml"  # Hydra's record, in a sweep's directory
DEPTH = 4  # how deep below outputs runs are looked for: outputs/<date>/<time>-sweep/<run>


def usual_directory(label: str) -> str:
    """Where a run goes that begins now, if nobody chose a place."""
    return f"{OUTPUTS}/{datetime.now():%Y-%m-%d/%H-%M-%S}-{label}"


def find(name: str) -> Path:
    """The directory of the run or sweep `name`. Raises UserError if there is none, or where several match.

    `name` is `latest`, a directory, or a short name of a run or sweep under outputs/: the name of its directory
    (10-10-39-mlp-digits), a longer end of its path, or the beginning of either (10-10-39).
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
    except OSError:  # the name is too long, or the directory can't be read
        return False


def is_sweep(path: Path) -> bool:
    return (path / SWEEP_FILE).is_file()


def list_runs(sweep: Path) -> list[Path]:
    """The runs in a sweep's directory at any depth."""
    return [path for path in list_directories(sweep, depth=sys.maxsize) if (path / RUN_FILE).is_file()]


def list_directories(root: Path = OUTPUTS, depth: int = DEPTH) -> list[Path]:
    """All runs and sweeps under `root`, sorted by path, which begins with the time; links are not followed."""
    found: list[Path] = []
    for place, folders, files in os.walk(root):
        path = Path(place)
        if RUN_FILE in files or SWEEP_FILE in files:
            found.append(path)
        if RUN_FILE in files or len(path.relative_to(root).parts) >= depth:
            folders.clear()
    return sorted(found)


def matches(name: str, places: Iterable[Path]) -> list[Path]:
    """Those of `places` whose paths end with `name`; if there are none, those for which its last part is a prefix."""
    wanted = Path(name).parts
    if not wanted:
        return []
    ends = [(place, place.parts[-len(wanted) :]) for place in places]
    exact = [place for place, parts in ends if parts == wanted]
    return exact or [place for place, parts in ends if parts[:-1] == wanted[:-1] and parts[-1].startswith(wanted[-1])]


def short_name(place: Path) -> str:
    """The shortest end of its path that names a run or a sweep alone in the current directory."""
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
    """A name for each of `places`: that of its directory, with the parent's where several have the same."""
    count = Counter(place.name for place in places)
    return [place.name if count[place.name] == 1 else f"{place.parent.name}/{place.name}" for place in places]


def _latest() -> Path:
    place = LATEST
    if place.is_file():  # where there are no symbolic links: a file that contains the path
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
    """The newest of `places` for a sentence."""
    shown = ", ".join(map(str, places[-LISTABLE:]))
    return f"{shown} (and {len(places) - LISTABLE} older ones)" if len(places) > LISTABLE else shown
