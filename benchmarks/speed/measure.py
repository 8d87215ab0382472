"""Interleaved measurement: each loop in its own process and terminal, one at a time; disturbed chunks are repeated."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import busy_seconds
from benchmarks.tables import ROOT

TOLERATED_LOAD = 0.05  # of one core, by others, during a chunk
TRIES = 5
CHUNK_SECONDS = 1.5


@dataclass(frozen=True)
class Loop:
    """`reference` is module:function; `count` the iterations of a chunk, which should hold a whole period of whatever
    the loop does now and then (grids, checkpoints). None: as many as take about `CHUNK_SECONDS`.
    """

    name: str
    reference: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    count: int | None = None
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    work: tuple[float, str] | None = None  # of one iteration, for rates: 17.2 and "GFLOP"


@dataclass(frozen=True)
class Chunk:
    count: int
    seconds: float
    cpu_seconds: float  # of the loop's own process
    foreign_load: float  # cores that other processes kept busy meanwhile
    tries: int

    @property
    def ms(self) -> float:
        return self.seconds / self.count * 1000


class LoopFailed(Exception):
    """The loop's process ended; the last line that it printed is the reason."""


class Worker:
    """A loop's process, stopped whenever it is not asked to run."""

    def __init__(self, loop: Loop, threads: int, folder: Path) -> None:
        self.loop = loop
        folder.mkdir()
        ours, theirs = socket.socketpair()
        terminal, screen = pty.openpty()
        os.set_inheritable(theirs.fileno(), True)
        task = {
            "loop": loop.reference, "arguments": dict(loop.arguments), "folder": str(folder), "threads": threads,
            "cores": sorted(os.sched_getaffinity(0))[:threads], "channel": theirs.fileno(),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [loop.python, "-m", "benchmarks.speed.worker", json.dumps(task)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, pass_fds=[theirs.fileno()],
            env={**os.environ, **thread_variables(threads), **TERMINAL, **loop.environment, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        os.close(screen)
        self._printed: deque[bytes] = deque(maxlen=40)
        threading.Thread(target=self._drain, args=(terminal,), daemon=True).start()
        self._channel = ours.makefile("rw", buffering=1)
        self._ask(None)

    def run(self, count: int) -> Chunk:
        others = busy_seconds() - time.process_time()
        reply = self._ask(count)
        others = busy_seconds() - time.process_time() - others - reply["cpu_seconds"]
        return Chunk(count, reply["seconds"], reply["cpu_seconds"], max(0.0, others / reply["seconds"]), 1)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ask(self, count: int | None) -> dict[str, float]:
        self._process.send_signal(signal.SIGCONT)
        if count is not None:
            self._channel.write(f"{count}\n")
            self._channel.flush()
        line = self._channel.readline()
        if not line:
            self._process.wait()
            time.sleep(0.1)  # for what is still on its way to the terminal
            printed = b"".join(self._printed).decode(errors="replace")
            raise LoopFailed(printed.strip().rpartition("\n")[2])
        self._process.send_signal(signal.SIGSTOP)
        reply: dict[str, float] = json.loads(line)
        return reply

    def _drain(self, terminal: int) -> None:
        """Read the terminal as a person would, so that the process never waits."""
        try:
            while printed := os.read(terminal, 65536):
                self._printed.append(printed)
        except OSError:  # the process has ended
            os.close(terminal)


TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"}


def thread_variables(threads: int) -> dict[str, str]:
    """The variables that the libraries of the loops read when they start."""
    names = (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC",  # XLA takes NPROC for the size of its pool
    )  # fmt: skip
    eigen = str(threads > 1).lower()
    return {**dict.fromkeys(names, str(threads)), "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}"}


def measure(
    loops: list[Loop], threads: int, rounds: int, tries: int = TRIES, say: Callable[[str], None] = print
) -> dict[str, list[Chunk]]:
    """The chunks of each loop, one per round. A loop that fails is reported and left out."""
    results: dict[str, list[Chunk]] = {}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as folder:
        try:
            for number, loop in enumerate(loops):
                try:
                    workers[loop.name] = Worker(loop, threads, Path(folder) / str(number))
                    results[loop.name] = []
                except LoopFailed as failure:
                    say(f"  left out: {loop.name}, which failed: {failure}")
            counts = {name: _warm_up(worker) for name, worker in workers.items()}
            for number in range(rounds):
                for name, worker in workers.items():
                    results[name].append(_undisturbed(worker, counts[name], tries))
                say(f"  round {number + 1}/{rounds}")
        finally:
            for worker in workers.values():
                worker.end()
    return results


def _warm_up(worker: Worker) -> int:
    """An unmeasured chunk, for compilation and caches. Returns the iterations of each chunk to come."""
    if worker.loop.count is not None:
        worker.run(worker.loop.count)
        return worker.loop.count
    worker.run(3)
    return max(2, round(CHUNK_SECONDS * 1000 / worker.run(5).ms))


def _undisturbed(worker: Worker, count: int, tries: int) -> Chunk:
    """The first chunk without foreign load, or else the least disturbed of all tries."""
    chunks = []
    while len(chunks) < tries:
        chunks.append(worker.run(count))
        if chunks[-1].foreign_load <= TOLERATED_LOAD:
            break
    best = min(chunks, key=lambda chunk: chunk.foreign_load)
    return Chunk(**{**asdict(best), "tries": len(chunks)})
