"""The outcomes of a command's runs, and the closing lines of a sweep."""

import signal
from dataclasses import dataclass, field
from pathlib import Path

from gan_exp.errors import LISTABLE
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import is_sweep, list_runs
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import say


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run. The processes of a parallel sweep return it."""

    number: int
    label: str  # its values of the keys that differ between the runs
    code: int  # 0 finished, 1 failed, 2 refused, more: interrupted
    can_go_on: bool = False  # `resume` would do something about it

    def __str__(self) -> str:
        return f"{self.number}: {self.label}" if self.label else str(self.number)


@dataclass
class Outcomes:
    """The outcomes of all runs of a command."""

    words: list[str]  # with their several values
    runs: list[Outcome] = field(default_factory=list)
    directory: str | None = None  # the sweep's; None for a single run

    @property
    def code(self) -> int:
        """The worst one."""
        return max((run.code for run in self.runs), default=0)

    def look_around(self, directory: str) -> None:
        """Outcomes from the files in the sweep's `directory`, if the runs themselves could return none."""
        self.directory = directory
        for number, path in enumerate(list_runs(Path(directory))):
            state = RunDir(path).read_status().get("state")
            code = {"finished": 0, "failed": 1}.get(str(state), 128)
            self.runs.append(Outcome(number, path.name, code, can_go_on=code > 2))

    def report(self, stopped_by: signal.Signals | None = None) -> None:
        """Print how many runs finished, which failed, and how to continue the rest."""
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
    """The number of runs that Hydra's own sweeper makes of `words`; None for another sweeper's."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return len(BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)[0])
    except HydraException:
        return None
