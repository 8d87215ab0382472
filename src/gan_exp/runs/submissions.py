"""Jobs that were handed to a cluster: who was submitted, and what each has said about itself since.

A submission leaves `slurm/jobs.jsonl` in the directory of its sweep, or of its single run, with a line for each job; a
job writes `slurm/<its id>.json` when it starts, is requeued, and ends. Between the two it is queued.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gan_exp.runs.run_names import RUN_FILE
from gan_exp.runtime.files import json_text, write_atomically

FOLDER = "slurm"  # in the directory of the sweep or of the single run; also holds the jobs' logs
RECORD = "jobs.jsonl"

SUBMITTED = ("job_id", "number", "label", "submitted", "cluster", "source", "config")  # and the directory
State = Literal["queued", "running", "requeued", "ended"]


@dataclass(frozen=True)
class Submission:
    """One submitted job, with its own last word.

    `directory` is that of its run. `state` is what the job said last: one that was killed, or cancelled before it
    began, can't say so. An ended job has the `code` and the `cause` of its outcome. `note`: the code has changed since.
    """

    job_id: str
    number: int
    label: str
    directory: str
    submitted: float  # seconds since 1970
    cluster: str = "slurm"  # or local
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of the run
    source: str = ""  # the version and the state of the code when it was submitted
    state: State = "queued"
    code: int | None = None
    cause: str = ""
    can_go_on: bool = True
    note: str = ""

    def __str__(self) -> str:
        return f"{self.number}: {self.label}" if self.label else str(self.number)

    @property
    def waits(self) -> bool:
        """Nobody is training it now."""
        return self.state in ("queued", "requeued")


def write_submissions(place: Path, submissions: Iterable[Submission]) -> None:
    """Append to the record in `place`; directories inside of it are written so that it may be moved."""
    place = place.resolve()
    folder = place / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RECORD).open("a", encoding="utf-8") as file:
        for one in submissions:
            directory = os.path.relpath(one.directory, place)
            plain = {key: getattr(one, key) for key in SUBMITTED}
            file.write(json_text({**plain, "directory": directory}) + "\n")


def read_submissions(place: Path) -> list[Submission]:
    """The jobs submitted for the sweep or the run in `place`, the last one of each run; none if none was."""
    try:
        lines = (place / FOLDER / RECORD).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found: dict[str, Submission] = {}
    for line in lines:
        try:
            plain = json.loads(line)
            one = Submission(**{**plain, "directory": os.path.normpath(place / plain["directory"])})
        except (ValueError, TypeError, KeyError):  # cut off by a full disk
            continue
        found[one.directory] = _with_its_word(one, place / FOLDER)
    return sorted(found.values(), key=lambda one: one.number)


def has_submissions(place: Path) -> bool:
    return (place / FOLDER / RECORD).is_file()


def list_submissions(root: Path) -> Iterator[Submission]:
    """Those of all sweeps and runs at and below `root`."""
    for place, folders, files in os.walk(root):
        if FOLDER in folders and has_submissions(Path(place)):
            yield from read_submissions(Path(place))
        folders[:] = [] if RUN_FILE in files else sorted(name for name in folders if name != FOLDER)


def write_word(folder: Path, job_id: str, state: State, **details: Any) -> None:
    """What a job says of itself, in the `folder` of its submission: `code`, `cause`, `can_go_on` and `note`."""
    word = {"state": state, "time": time.time(), "pid": os.getpid(), "host": socket.gethostname(), **details}
    write_atomically(folder / f"{job_id}.json", json_text(word, indent=2) + "\n")


def read_word(folder: Path, job_id: str) -> dict[str, Any]:
    try:
        word = json.loads((folder / f"{job_id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return word if isinstance(word, dict) else {}


def _with_its_word(one: Submission, folder: Path) -> Submission:
    word = read_word(folder, one.job_id)
    keys = ("state", "code", "cause", "can_go_on", "note")
    return replace(one, **{key: word[key] for key in keys if key in word})
