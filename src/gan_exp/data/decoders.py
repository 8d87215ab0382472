"""Processes that decode images. Threads take turns at Python's lock, which small images need most of their time.

A process imports NumPy and Pillow alone. It reads tasks from its standard input until that ends, as it does when the
process that started it dies.
"""

import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, Protocol, TypeVar

from gan_exp.errors import UserError
from gan_exp.runtime.resources import usable_cores

MANY = 4_000  # files from which on processes are started: importing takes each a third of a second
MOST = 8  # processes; each takes some 30 MB
CHILD = "import sys; sys.path[:] = {path!r}; from gan_exp.data.decoders import serve; serve()"

Result = TypeVar("Result")


class Pool(Protocol):
    """What tasks are given to: threads or processes."""

    def submit(self, work: Callable[..., Result], /, *given: Any) -> Future[Result]: ...


@contextmanager
def decoding_pool(files: int) -> Iterator[Pool]:
    """Threads for a few files, and for many of them processes, which can't be given a function without a name."""
    cores = usable_cores()
    if files < MANY or cores == 1 or not sys.executable:
        with ThreadPoolExecutor(cores) as threads:
            yield threads
    else:
        processes = Processes(min(cores, MOST))
        try:
            yield processes
        finally:
            processes.close()


class Processes:
    """A thread for each process hands it tasks; it waits for the results without Python's lock."""

    def __init__(self, count: int) -> None:
        words, pipe = [sys.executable, "-c", CHILD.format(path=sys.path)], subprocess.PIPE
        # A session of its own: Ctrl-C is for the process that started it.
        self._all = [subprocess.Popen(words, stdin=pipe, stdout=pipe, start_new_session=True) for _ in range(count)]
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in self._all:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(count)

    def submit(self, work: Callable[..., Result], /, *given: Any) -> Future[Result]:
        return self._threads.submit(self._ask, pickle.dumps((work, given)))

    def _ask(self, task: bytes) -> Any:
        process = self._idle.get()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(task)
            process.stdin.flush()
            result, error = pickle.load(process.stdout)
        except (EOFError, pickle.UnpicklingError, OSError) as lost:
            how = _how(process)
            raise UserError(
                f"a process that decodes images ended ({how}), perhaps for lack of memory; start again"
            ) from lost
        finally:
            self._idle.put(process)
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):  # of a process that has died
                    pipe.close()
            process.wait()


def _how(process: "subprocess.Popen[bytes]") -> str:
    process.kill()  # if it is still there
    code = process.wait()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve() -> None:
    """In a process of its own: answer each task with its result, or with the error that it raised."""
    warnings.filterwarnings("ignore", module=r"PIL\b")  # about odd metadata; a broken image raises
    tasks, results = sys.stdin.buffer, _own_output()
    while True:
        try:
            work, given = pickle.load(tasks)
        except EOFError:
            return
        try:
            answer: tuple[Any, Exception | None] = work(*given), None
        except Exception as error:
            answer = None, error
        with suppress(BrokenPipeError):
            results.write(pickle.dumps(answer))
            results.flush()


def _own_output() -> IO[bytes]:
    """Standard output for results alone: what a library prints goes to the standard error."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return results
