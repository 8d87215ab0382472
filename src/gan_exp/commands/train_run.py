"""One run, trained in this process or in several that are started for it (`device.processes`)."""

import json
import os
import shlex
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gan_exp.config.schema import Config
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.lifeline import TASK
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

How = Literal["start", "start or continue", "resume"]


@dataclass(frozen=True)
class Task:
    """Plain data: the checked configuration, the run's directory, the words of the command line, and the run's name."""

    config: dict[str, Any]
    directory: str
    how: How
    words: tuple[str, ...] | None
    name: str | None


def train_run(
    config: Config, directory: str, how: How, words: Sequence[str] | None, ranks: Ranks, name: str | None = None
) -> int:
    """Train one run, or continue it: those of a run that is resumed are its `name`, and overrides as `words`.

    Returns the exit code; raises what `start_run` and `continue_run` raise.
    """
    asked = config.device.processes or 1
    if ranks.count == 1 and asked > 1 and TASK not in os.environ:
        given = None if words is None else tuple(words)
        return _start_processes(Task(config.model_dump(mode="json"), directory, how, given, name), config)
    if how == "start" and asked not in (1, ranks.count):
        raise UserError(
            f"device.processes={asked}: {ranks.count} processes have been started already; leave device.processes out"
        )

    from gan_exp.training.session import start_run
    from gan_exp.training.start_or_continue import start_or_continue

    match how:
        case "start":
            start_run(config, directory, command=words, ranks=ranks)
        case "start or continue":
            start_or_continue(config, directory, command=words, ranks=ranks)
        case "resume":
            _resume(RunDir(directory), name or directory, words or (), ranks)
    return 0


def _start_processes(task: Task, config: Config) -> int:
    from gan_exp.config.contradictions import refuse_new
    from gan_exp.runtime.start_ranks import start_ranks
    from gan_exp.training.together import refuse_uneven

    processes = config.device.processes or 1
    if task.how == "start":
        refuse_new(config)
    refuse_uneven(config, processes)
    code = start_ranks(processes, ("-m", "gan_exp", "__rank"), {TASK: json.dumps(asdict(task))})
    if code < 0:
        run = RunDir(task.directory)
        remedy = f"continue with: gan-exp resume {shlex.quote(str(run.path))}" if run.config.exists() else "start anew"
        raise TrainingFault(
            f"process 0 of {processes}, which writes the run, was killed by {signal.Signals(-code).name}; {remedy}"
        )
    return code


def _resume(run: RunDir, name: str, overrides: Sequence[str], ranks: Ranks) -> None:
    from gan_exp.training.resuming import resume_run

    if not resume_run(run, overrides, ranks=ranks):
        steps = run.read_status()["step"]
        again = f"gan-exp resume {shlex.quote(name)} steps={2 * steps}"
        say(f"{shlex.quote(str(run.path))} is finished ({plural(steps, 'step')}); to continue: {again}")
