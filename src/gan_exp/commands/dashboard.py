"""`gan-exp dashboard [DIR]`: TensorBoard over all runs below a directory."""

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_names import LATEST, OUTPUTS, find
from gan_exp.runtime.signals import wait_for
from gan_exp.runtime.terminal import say

EVENTS = "events.out.tfevents."
MOST_GRIDS = 200  # of each run; TensorBoard keeps ten by default, drawn at random, so of other steps in each run
DAY = re.compile(r"\d{4}-\d\d-\d\d")  # the folder that holds the runs of a day
SWEEP = re.compile(r"(\d\d-\d\d-\d\d)-sweep")


def run(arguments: list[str]) -> int:
    parser = Parser("dashboard", "Show all runs below a directory in TensorBoard; Ctrl-C ends it.")
    parser.add_argument(
        "directory",
        nargs="?",
        default=str(OUTPUTS),
        metavar="DIR",
        help="a directory of runs, `latest`, or a run's short name (default: outputs)",
    )
    parser.add_argument("--port", type=count_of(1), metavar="P", help="default: 6006, or the next one that is free")
    parser.add_argument(
        "--host", default="localhost", help="0.0.0.0 allows other machines to connect (default localhost)"
    )
    options = parser.parse_args(arguments)
    directory = _find_directory(options.directory)
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; train a run first with `gan-exp train`")

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorboard import default, program

    from gan_exp.commands.board import show_many_runs

    _name_runs_briefly()
    show_many_runs()
    board = program.TensorBoard(default.get_plugins())
    port = [] if options.port is None else ["--port", str(options.port)]
    # The fast loader is a separate program, which follows all links and prints a notice.
    where = ["--logdir", str(directory), "--host", options.host, "--load_fast", "false"]
    grids = ["--samples_per_plugin", f"images={MOST_GRIDS}"]
    board.configure(argv=["tensorboard", *where, *port, *grids])
    try:
        address = board.launch()
    except (program.TensorBoardServerException, OSError, OverflowError) as error:
        asked = " ".join(["--host", options.host, *port])
        raise UserError(f"{asked}: can't be used ({str(error).splitlines()[0]}); try another") from error
    say(f"TensorBoard over {directory}: {address} (Ctrl-C ends it)")
    if not find_runs(directory):
        say(f"there are no runs below {directory} yet; new ones will appear")
    server = next(thread for thread in threading.enumerate() if thread.name == "TensorBoard")
    wait_for(server)
    raise TrainingFault(f"TensorBoard over {directory} ended by itself; the runs are unchanged, so start it again")


def _find_directory(name: str) -> Path:
    """Any directory of runs, or the run that `find` finds by another name."""
    with suppress(OSError):
        if Path(name) == OUTPUTS or Path(name).is_dir():
            return Path(name)
    return find(name).resolve()


def find_runs(top: Path) -> dict[str, Path]:
    """The directories of events below `top` by a short name, such as `10-10-39-mlp-digits`, `12-00-00/0-lr=1`.

    Links are followed, except `latest`, whose name says nothing, and those to directories below `top` and above it.
    """
    home = top.resolve()
    found: dict[str, Path] = {}
    seen = set()
    for parent, folders, files in os.walk(home, followlinks=True):
        folders[:] = sorted(name for name in folders if _leads_out(Path(parent, name), home))
        real = os.path.realpath(parent)
        if real not in seen and any(name.startswith(EVENTS) for name in files):
            place = Path(parent)
            named = _name(place, home, short=True)
            found[named if named not in found else _name(place, home, short=False)] = place
        if real in seen:  # two links to one folder
            folders.clear()
        seen.add(real)
    return found


def _leads_out(path: Path, home: Path) -> bool:
    """Whether a link leads to a directory neither below nor above `home`; True for paths that are no links."""
    if not path.is_symlink():
        return True
    if path.name == LATEST.name:  # a run with hydra.run.dir may lie anywhere
        return False
    target = path.resolve()
    return not target.is_relative_to(home) and not home.is_relative_to(target)


def _name(place: Path, home: Path, short: bool) -> str:
    """The name without the parts that all runs share; if `short`, also without the day and the word sweep.

    TensorBoard's table of hyperparameters shows the first 14 letters: 12-00-00-sweep of all of a sweep's runs.
    """
    parts = place.relative_to(home).parts
    if parts[-1:] == ("tensorboard",):
        parts = parts[:-1]
    if short:
        parts = tuple(SWEEP.sub(r"\1", part) for part in parts if not DAY.fullmatch(part)) or parts
    return "/".join(parts) or home.name


def _name_runs_briefly() -> None:
    """Let TensorBoard find runs as `find_runs` does, whenever it looks for new ones."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    def add_runs(self: Any, path: str, name: str | None = None) -> Any:
        for run_name, place in find_runs(Path(path)).items():
            self.AddRun(str(place), name=run_name)
        return self

    EventMultiplexer.AddRunsFromDirectory = add_runs
