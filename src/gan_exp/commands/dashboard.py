"""`gan-exp dashboard [DIR]`: TensorBoard over all runs below a directory."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.errors import TrainingFault, UserError
from gan_exp.run_names import OUTPUTS, find
from gan_exp.signals import raising_interrupted


def run(arguments: list[str]) -> int:
    parser = Parser("dashboard", "Look at all runs below a directory in TensorBoard; Ctrl-C ends it.")
    parser.add_argument(
        "directory",
        nargs="?",
        default=str(OUTPUTS),
        metavar="DIR",
        help="a directory of runs, `latest`, or a run's short name (default: outputs)",
    )
    parser.add_argument("--port", type=count_of(1), metavar="P", help="default: 6006, or the next one that is free")
    parser.add_argument("--host", default="localhost", help="0.0.0.0 lets other machines look (default localhost)")
    options = parser.parse_args(arguments)
    directory = _find_directory(options.directory)
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; train a run first with `gan-exp train`")

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorboard import default, program

    _pass_over_links()
    board = program.TensorBoard(default.get_plugins())
    port = [] if options.port is None else ["--port", str(options.port)]
    # The fast loader is a program of its own, which follows links and prints a notice.
    where = ["--logdir", str(directory), "--host", options.host, "--load_fast", "false"]
    board.configure(argv=["tensorboard", *where, *port])
    try:
        address = board.launch()
    except (program.TensorBoardServerException, OSError, OverflowError) as error:
        asked = " ".join(["--host", options.host, *port])
        raise UserError(f"{asked}: can't be used ({str(error).splitlines()[0]}); try another") from error
    print(f"TensorBoard over {directory}: {address} (Ctrl-C ends it)", flush=True)
    server = next(thread for thread in threading.enumerate() if thread.name == "TensorBoard")
    with raising_interrupted():
        server.join()
    raise TrainingFault(f"TensorBoard over {directory} ended by itself; the runs are as they were, so call it again")


def _find_directory(name: str) -> Path:
    """Any directory of runs, or what `find` makes of another name."""
    with suppress(OSError):
        if Path(name) == OUTPUTS or Path(name).is_dir():
            return Path(name)
    return find(name).resolve()


def _pass_over_links() -> None:
    """Let TensorBoard not follow outputs/latest, or the newest run would be there twice under two names."""
    from tensorboard.backend.event_processing import io_wrapper

    find_all = io_wrapper.GetLogdirSubdirectories

    def find_unlinked(logdir: str) -> Iterator[str]:
        top = Path(logdir).resolve()
        return (found for found in find_all(logdir) if Path(found).resolve() == top / Path(found).relative_to(logdir))

    io_wrapper.GetLogdirSubdirectories = find_unlinked
