"""`gan-exp dashboard [DIR]`: TensorBoard over all runs below a directory."""

import os
import threading
from pathlib import Path

from gan_exp.commands.arguments import Parser, count_of
from gan_exp.errors import UserError
from gan_exp.run_dir import OUTPUTS


def run(arguments: list[str]) -> int:
    parser = Parser("dashboard", "Look at all runs below a directory in TensorBoard; Ctrl-C ends it.")
    parser.add_argument("directory", nargs="?", default=str(OUTPUTS), metavar="DIR", help="default: outputs")
    parser.add_argument("--port", type=count_of(1), metavar="P", help="default: 6006, or the next one that is free")
    parser.add_argument("--host", default="localhost", help="0.0.0.0 lets other machines look (default localhost)")
    options = parser.parse_args(arguments)
    directory = Path(options.directory)
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; train a run first with `gan-exp train`")

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorboard import default, program

    board = program.TensorBoard(default.get_plugins())
    port = [] if options.port is None else ["--port", str(options.port)]
    # argparse inside TensorBoard would end the process on its own.
    board.configure(argv=["tensorboard", "--logdir", str(directory), "--host", options.host, *port])
    try:
        address = board.launch()
    except program.TensorBoardServerException as error:
        raise UserError(f"--port {options.port}: can't be used ({str(error).splitlines()[0]}); try another") from error
    print(f"TensorBoard over {directory}: {address} (Ctrl-C ends it)", flush=True)
    threading.Event().wait()
    return 0
