"""The loops that are measured: `gan-exp train` in one process or several, and an all-reduce alone.

Rank 0 is the process that benchmarks.speed.measure asks for iterations; it starts the others and tells them how many.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import torch

from benchmarks.speed.worker import Serve, end_with_parent
from benchmarks.tables import ROOT
from gan_exp import cli
from gan_exp.runtime.joining import join
from gan_exp.runtime.ranks import Ranks
from gan_exp.training.trainer import Trainer

QUIET = ("display=quiet", "steps=100000000", *(f"{what}_every_steps=100000000" for what in ("sample", "checkpoint")))
Run = Callable[[Ranks], Callable[[int], None]]


def train(serve: Serve, cores: int, words: list[str], processes: int, threads_each: int = 1, rank: int = 0) -> None:
    """The command with its logs, but no grids and checkpoints; the measurement asks for its steps in chunks."""
    train_until = Trainer.train_until

    def train_when_asked(trainer: Trainer, last_step: int) -> None:
        _iterate(trainer.ranks, lambda count: train_until(trainer, trainer.state.step + count), serve)

    Trainer.train_until = train_when_asked  # type: ignore[method-assign]
    _start_others("train", {"words": words, "processes": processes}, threads_each, rank)
    conf = ROOT / "benchmarks/speed/conf"
    place = [] if rank else ["hydra.run.dir=run"]
    given = [*words, *QUIET, f"device.threads={threads_each}", *place]
    sys.exit(cli.main(["train", "--config-dir", str(conf), "--trust", "benchmarks", *given]))


def reduce(
    serve: Serve, cores: int, size: int, processes: int, device: str, threads_each: int = 1, rank: int = 0
) -> None:
    """An all-reduce of so many bytes, as after each update."""
    _start_others("reduce", {"size": size, "processes": processes, "device": device}, threads_each, rank)
    with join() as ranks:
        where = torch.device(device, ranks.local_rank) if device == "cuda" else torch.device(device)
        gradients = torch.zeros(max(1, size // 4), device=where)

        def run(count: int) -> None:
            for _ in range(count):
                ranks.sum_([gradients])

        _iterate(ranks, run, serve)


def _iterate(ranks: Ranks, run: Callable[[int], None], serve: Serve) -> None:
    """Rank 0 runs as many iterations as it is asked for, with the others; this never returns."""

    def together(count: int) -> None:
        ranks.broadcast(count)
        run(count)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    if ranks.first:
        serve(together)
    while True:
        run(ranks.broadcast())


def _start_others(name: str, arguments: dict[str, object], threads: int, rank: int) -> None:
    """Rank 0 starts the other ranks; each gets cores of its own."""
    count = arguments["processes"]
    assert isinstance(count, int)
    if count == 1:
        return
    if rank == 0:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
        os.environ |= {"MASTER_PORT": str(port)}
        for other in range(1, count):
            task = json.dumps([name, {**arguments, "threads_each": threads, "rank": other}])
            places = {"RANK": str(other), "LOCAL_RANK": str(other), "PYTHONPATH": str(ROOT)}
            subprocess.Popen([sys.executable, "-m", "benchmarks.scaling.loops", task], env=os.environ | places)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    cores = sorted(os.sched_getaffinity(0))
    with suppress(AttributeError):  # Linux only
        os.sched_setaffinity(0, {cores[(rank * threads + k) % len(cores)] for k in range(threads)})


def _other_rank() -> NoReturn:
    """What the processes run that rank 0 has started."""
    end_with_parent()
    name, arguments = json.loads(sys.argv[1])
    loop = {"train": train, "reduce": reduce}[name]
    loop(_no_serve, 0, **arguments)
    sys.exit(1)


def _no_serve(run: Callable[[int], None]) -> NoReturn:
    raise AssertionError("rank 0 alone is asked")


if __name__ == "__main__":
    _other_rank()
