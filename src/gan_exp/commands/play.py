"""`gan-exp play RUN`: a page to play with a trained generator, which this machine alone can reach."""

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import short_name
from gan_exp.runtime.processes import refuse_multiple_processes
from gan_exp.runtime.signals import wait_for
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.play.server import PageServer

DIRECTIONS = 10  # that have a slider
POLL_S = 0.1  # how soon the server notices that it is to end
MOST_THREADS = 4  # one image at a time gains nothing from more


def run(arguments: list[str]) -> int:
    parser = Parser("play", "Open a page to play with a run's generator; Ctrl-C ends it.")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--no-average", action="store_true", help="the generator in training, not its average")
    parser.add_argument(
        "--port", type=count_of(1, 65535), metavar="P", help="default: 7900, or the next one that is free"
    )
    parser.add_argument("--no-open", action="store_true", help="only print the address")
    parser.add_device()
    parser.add_trust()
    options = parser.parse_args(arguments)
    refuse_multiple_processes("play")
    run_dir = RunDir.open(options.run)

    import torch

    from gan_exp.config.targets import trust
    from gan_exp.generators.trained import TrainedGenerator
    from gan_exp.runtime.device import inference_device, own_settings

    trust(options.trust)
    generator = TrainedGenerator.from_run(
        run_dir, options.checkpoint, not options.no_average, inference_device(options.device)
    )
    if generator.spec.extent is not None:
        raise UserError(f"{run_dir.path}: makes points of the plane, not images; `gan-exp sample` plots them")
    with own_settings():
        torch.set_num_threads(min(torch.get_num_threads(), MOST_THREADS))
        with make_server(run_dir, generator, options.port) as server:
            say(f"{short_name(run_dir.path)} at step {generator.step:,}: {server.address} (Ctrl-C ends it)")
            serve(server, show=not options.no_open and _has_screen())
    raise TrainingFault("the page's server ended by itself; start it again")


def serve(server: "PageServer", show: bool) -> None:
    """Until a signal ends the command; with `show` in a window of the browser."""
    thread = threading.Thread(target=server.serve_forever, args=[POLL_S], name="page", daemon=True)
    thread.start()
    try:
        if show:
            webbrowser.open(server.address)
        wait_for(thread)
    finally:
        server.shutdown()


def make_server(run_dir: RunDir, generator: "TrainedGenerator", port: int | None) -> "PageServer":
    from gan_exp.play.answers import Answers
    from gan_exp.play.neighbours import load_neighbours
    from gan_exp.play.page import render
    from gan_exp.play.questions import File, Question, read
    from gan_exp.play.server import start

    answers = Answers(generator, lambda: load_neighbours(generator))
    config = generator.config
    about = f"{config.model.name} on {config.dataset['name']}, step {generator.step:,}"
    count = min(DIRECTIONS, generator.latent_dim)
    page, policy = render(generator, str(run_dir.path), about, count)
    server = start(port, page, policy, {
        "/image": lambda body: answers.image(read(Question, body)),
        "/latent": lambda body: answers.latent(read(Question, body)),
        "/nearest": lambda body: answers.nearest(read(Question, body)),
        "/open": lambda body: answers.open(read(File, body)),
        "/directions": lambda body: answers.directions(),
    })  # fmt: skip
    threading.Thread(target=answers.find_directions, args=[count], name="directions", daemon=True).start()
    return server


def _has_screen() -> bool:
    """Whether a browser has a window: without a display, a browser for terminals would take this one."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
