"""The process of one loop. Imports nothing but the standard library, so that any environment's Python can run it.

A loop is a function `loop(serve, threads, **arguments)` that prepares itself and calls `serve(run)`, where `run(count)`
runs so many iterations. `serve` answers the measuring process and does not return.
"""

import ctypes
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, NoReturn

Iterations = Callable[[int], None]
Serve = Callable[[Iterations], NoReturn]


def main() -> None:
    task = json.loads(sys.argv[1])
    end_with_parent()
    with suppress(AttributeError):  # Linux only
        os.sched_setaffinity(0, task["cores"])
    channel = socket.socket(fileno=task["channel"]).makefile("rw", buffering=1)
    module, _, name = task["loop"].partition(":")
    loop = getattr(importlib.import_module(module), name)
    os.chdir(task["folder"])
    loop(partial(serve, channel), task["threads"], **task["arguments"])


def serve(channel: IO[str], run: Iterations) -> NoReturn:
    """Read a number of iterations from each line and answer with their time. The end of the input ends the process."""
    _tell(channel, {"ready": True})
    for line in channel:
        began, cpu_began = time.perf_counter(), time.process_time()
        run(int(line))
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        _tell(channel, {"seconds": seconds, "cpu_seconds": cpu_seconds})
    os._exit(0)


def _tell(channel: IO[str], content: dict[str, float | bool]) -> None:
    channel.write(json.dumps(content) + "\n")
    channel.flush()


def end_with_parent() -> None:
    """A stopped process would outlive a measurement that was killed."""
    parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl.h
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    main()
