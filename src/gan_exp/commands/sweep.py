"""What was done in a sweep (`train -m`), and how the rest of it is finished."""

import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_exp.config.overrides import differing_keys, for_hydra, leaves, quoted
from gan_exp.config.plain_yaml import read_yaml
from gan_exp.errors import LISTABLE, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import SWEEP_FILE
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.config.schema import Config

RESUMING = "GAN_EXP_RESUMING_SWEEP"  # a variable, so that the processes of a parallel sweep see it too


@dataclass(frozen=True)
class Outcome:
    """What one run of a sweep came to. It travels from the processes of a parallel one."""

    number: int
    label: str  # its values of what differs between the runs
    code: int  # 0 finished, 1 failed, 2 refused, more: interrupted
    can_go_on: bool = False  # `resume` would do something about it

    def __str__(self) -> str:
        return f"{self.number}: {self.label}" if self.label else str(self.number)


@dataclass
class Outcomes:
    """Of all runs of a command: several in a sweep."""

    words: list[str]  # with their several values
    runs: list[Outcome] = field(default_factory=list)
    directory: str | None = None  # the sweep's; None for a single run

    @property
    def code(self) -> int:
        """The worst one."""
        return max((run.code for run in self.runs), default=0)

    def look_around(self, directory: str) -> None:
        """What lies in the sweep's `directory`, where the runs themselves could not tell what they came to."""
        self.directory = directory
        for number, path in enumerate(sorted(Path(directory).rglob("config.yaml"))):
            state = RunDir(path.parent).read_status().get("state")
            code = {"finished": 0, "failed": 1}.get(str(state), 128)
            self.runs.append(Outcome(number, path.parent.name, code, can_go_on=code > 2))

    def report(self, stopped_by: signal.Signals | None = None) -> None:
        """How many there were, which of them failed, and what can be done about the rest."""
        if self.directory is None:
            return
        finished = sum(run.code == 0 for run in self.runs)
        failed = [str(run) for run in self.runs if run.code in (1, 2)]
        interrupted = sum(run.code > 2 and run.can_go_on for run in self.runs)
        total = max((count_jobs(self.words) if stopped_by is not None else None) or 0, len(self.runs))
        not_begun = total - finished - len(failed) - interrupted
        parts = [f"{finished} of {total} runs finished"]
        if failed:
            more = f"; and {len(failed) - LISTABLE} more" if len(failed) > LISTABLE else ""
            parts.append(f"{len(failed)} failed ({'; '.join(failed[:LISTABLE])}{more})")
        if interrupted:
            parts.append(f"{interrupted} interrupted")
        if not_begun:
            parts.append(f"{not_begun} not begun")
        if stopped_by is not None:
            parts[0] = f"stopped by {stopped_by.name}: {parts[0]}"
        place = path_from_here(Path(self.directory))
        can_go_on = not_begun > 0 or any(run.can_go_on for run in self.runs)
        again = f"; for the rest: gan-exp resume {place}" if can_go_on and is_sweep(Path(self.directory)) else ""
        say(f"sweep: {', '.join(parts)}{again}")
        if stopped_by is None and finished:
            say(f"next:\n  gan-exp dashboard {place}")


def count_jobs(words: list[str]) -> int | None:
    """How many runs Hydra's own sweeper makes of `words`; None where another one is at work."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return len(BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)[0])
    except HydraException:
        return None


def is_sweep(place: Path) -> bool:
    return (place / SWEEP_FILE).is_file()


def resume(place: Path, overrides: list[str], config_dir: str | None) -> int:
    """Hydra does the same sweep in the same directory again, and `go_on` each run of it that has begun."""
    from gan_exp.commands.train import run_hydra

    for word in overrides:
        if not word.startswith("hydra"):
            raise UserError(f"{word}: the runs of a sweep keep their values; resume one of them by its own directory")
    place = place.resolve()
    overrides = [for_hydra(word, sweeping=True) for word in overrides]
    words = ["-m", *(["--config-dir", config_dir] if config_dir else []), *_recorded(place), *overrides]
    os.environ[RESUMING] = "1"
    try:
        return run_hydra([*words, f"hydra.sweep.dir={quoted(str(place))}"])
    finally:
        del os.environ[RESUMING]


def find_begun(place: Path, expected: RunDir, config: "Config", words: Sequence[str]) -> RunDir | None:
    """The run of the sweep in `place` that is the job's with `words`, if it has begun; by what it trains.

    Its directory need not be the `expected` one: an older version named it otherwise, or the user's hydra.sweep.subdir.
    """
    if expected.config.exists():
        return expected
    wanted = config.model_dump(mode="json")
    keys = [word.partition("=")[0].lstrip("+") for word in words]
    for path in sorted(place.rglob("config.yaml")):
        run = RunDir(path.parent)
        with suppress(UserError):
            found = run.read_config()
            if not differing_keys(found, wanted) and _same_values(found, wanted, keys):
                return run
    return None


def _same_values(found: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Also of what may change in the middle of a run, where the sweep is over just that: steps=100,200."""
    first, second = leaves(found), leaves(wanted)
    return all(
        first.get(leaf, value) == value
        for leaf, value in second.items()
        if value is not None and any(leaf == key or leaf.startswith(f"{key}.") for key in keys)
    )


def with_threads(config: "Config", place: Path) -> "Config":
    """`config` with the number of threads that a run of the sweep in `place` has found for the same networks.

    Found once, it is the same for all: it depends on what else the machine does, and the last bits depend on it.
    """
    device = config.device
    if device.threads is not None or device.deterministic or "OMP_NUM_THREADS" in os.environ:
        return config
    wanted = config.model_dump(mode="json")
    for path in sorted(place.rglob("config.yaml")):
        with suppress(UserError, KeyError, TypeError):
            found = RunDir(path.parent).read_config()
            threads = found["device"]["threads"]
            same = all(found[key] == wanted[key] for key in ("model", "batch_size", "dataset"))
            if same and isinstance(threads, int) and 0 < threads <= (os.cpu_count() or 1):
                return config.model_copy(update={"device": device.model_copy(update={"threads": threads})})
    return config


def go_on(config: "Config", run: RunDir) -> None:
    """Finish a run of the sweep that is resumed. Raises UserError where `config` would be another experiment."""
    from gan_exp.config.check import check
    from gan_exp.training.session import continue_run

    own = check(run.read_config())  # it may have been resumed with more steps
    differing = differing_keys(own.model_dump(mode="json"), config.model_dump(mode="json"))
    if differing:
        raise UserError(f"{', '.join(differing)}: {run.path} was begun with other values; bring back those")
    with run.locked():
        status = run.read_status()
        if status.get("state") == "finished" and status.get("step") == own.steps:
            say(f"{shlex.quote(str(run.path))} is finished ({own.steps} steps)")
        else:
            continue_run(own, run, in_sweep=True)


def _recorded(place: Path) -> list[str]:
    """The words that made the sweep, as far as they can't run anything: Hydra builds what its own nodes name."""
    try:
        found = read_yaml((place / SWEEP_FILE).read_text(encoding="utf-8"))["hydra"]["overrides"]
        task, own = [str(word) for word in found["task"]], [str(word) for word in found["hydra"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / SWEEP_FILE}: can't be read ({' '.join(str(error).split())})") from error
    for word in task:
        if "hydra" in word.partition("=")[0] or word.startswith("-"):
            raise UserError(f"{place / SWEEP_FILE}: {word} is no value of a run")
    plugins = [word for word in own if re.fullmatch(r"hydra/(launcher|sweeper)=\w+", word)]
    for word in own:
        _refuse_runs_elsewhere(place, word)
        if word not in plugins and not word.startswith(("hydra.mode=", "hydra.sweep.dir=")):
            say(f"not taken over from the sweep's record: {word} (give it again where it is wanted)")
    return [*task, *plugins]


def _refuse_runs_elsewhere(place: Path, word: str) -> None:
    """Those in the sweep's own directory are found whatever they are called; others would be trained once more."""
    key, _, value = word.partition("=")
    parts = Path(value.strip("'\"")).parts
    if key.lstrip("+") == "hydra.sweep.subdir" and (".." in parts or parts[:1] in (("/",), ("~",))):
        raise UserError(f"{word}: the runs of {place} lie outside of it; resume each by its own directory")
