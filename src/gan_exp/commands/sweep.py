"""What was done in a sweep (`train -m`), and how the rest of it is finished."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gan_exp.errors import UserError
from gan_exp.overrides import for_hydra, quoted
from gan_exp.plain_yaml import read_yaml
from gan_exp.run_dir import RunDir, path_from_here
from gan_exp.run_names import SWEEP_FILE
from gan_exp.signals import Interrupted

if TYPE_CHECKING:
    from gan_exp.config import Config

RESUMING = "GAN_EXP_RESUMING_SWEEP"  # a variable, so that the processes of a parallel sweep see it too


@dataclass
class Outcomes:
    """Of the runs that Hydra's own launcher has done in this process."""

    overrides: list[str]  # with their several values
    codes: list[int] = field(default_factory=list)
    directory: str | None = None  # the sweep's; None for a single run

    def tell(self, stopped_by: Interrupted | None = None) -> None:
        """How many there were, where there were several."""
        if self.directory is None:
            return
        finished, done = self.codes.count(0), len(self.codes)
        total = (count_jobs(self.overrides) if stopped_by is not None else None) or done
        parts = [f"{finished} of {total} runs finished"]
        if done > finished:
            parts.append(f"{done - finished} failed")
        if stopped_by is not None:
            parts.append("1 interrupted")
            if total > done + 1:
                parts.append(f"{total - done - 1} not begun")
            parts[0] = f"stopped by {stopped_by.signal.name}: {parts[0]}"
        again = f"; for the rest: gan-exp resume {shlex.quote(self.directory)}" if finished < total else ""
        print(f"sweep: {', '.join(parts)}{again}", flush=True)
        if stopped_by is None and finished:
            print(f"next:\n  gan-exp dashboard {shlex.quote(path_from_here(Path(self.directory)))}", flush=True)


def count_jobs(overrides: list[str]) -> int | None:
    """How many runs Hydra's own sweeper makes of `overrides`; None where another one is at work."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return len(BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)[0])
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


def go_on(config: "Config", run: RunDir) -> None:
    """Finish a run of the sweep that is resumed. Raises UserError where `config` would be another experiment."""
    from gan_exp.config import check
    from gan_exp.overrides import differing_keys
    from gan_exp.session import continue_run

    own = check(run.read_config())  # it may have been resumed with more steps
    differing = differing_keys(own.model_dump(mode="json"), config.model_dump(mode="json"))
    if differing:
        raise UserError(f"{', '.join(differing)}: {run.path} was begun with other values; bring back those")
    with run.locked():
        status = run.read_status()
        if status.get("state") == "finished" and status.get("step") == own.steps:
            print(f"{run.path} is finished ({own.steps} steps)", flush=True)
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
        if word not in plugins and not word.startswith(("hydra.mode=", "hydra.sweep.dir=")):
            print(f"not taken over from the sweep's record: {word} (give it again where it is wanted)", flush=True)
    return [*task, *plugins]
