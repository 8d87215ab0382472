"""Jobs in processes of their own, forked from a server that has imported torch and the package once.

    process = start(job, threads=2)
    while (outcome := process.wait(timeout=0.5)) is None:
        ...                          # process.job.run.read_status() says how far it is
        process.stop()               # SIGTERM: the run saves a checkpoint and ends; `Outcome.can_go_on`
    print(outcome.code, outcome.cause, process.log)

A job's process has no terminal, prints into a file of its run, and receives no Ctrl-C: whoever started it decides. If
the process that started it dies, the run saves a checkpoint and ends.
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from gan_exp.runtime.files import cannot_write
from gan_exp.runtime.resources import THREADS, asked_threads
from gan_exp.runtime.signals import recording_signals, unblock_signals
from gan_exp.sweeps.fork_server import IS_SERVER, import_all
from gan_exp.sweeps.job import Job, Outcome, train

T = TypeVar("T")

# Windows and others without forks start each process anew, which imports torch for some seconds.
CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


def prepare() -> None:
    """Start the server, which imports torch in the background; `start` waits for it. Nothing happens without forks.

    For plain forks, as tests use them, this process imports everything itself.
    """
    if CONTEXT.get_start_method() == "fork":
        import_all()
    if CONTEXT.get_start_method() != "forkserver":
        return
    from multiprocessing.forkserver import ensure_running

    CONTEXT.set_forkserver_preload(["gan_exp.sweeps.fork_server"])
    threads = os.environ.pop(THREADS, None)  # torch reads it once, when it is imported: each job sets its own
    os.environ[IS_SERVER] = "1"
    try:
        ensure_running()
    finally:
        del os.environ[IS_SERVER]
        if threads is not None:
            os.environ[THREADS] = threads


def start(job: Job, threads: int | None = None, gpu: str | None = None) -> "JobProcess":
    """Begin to train `job` in a process of its own.

    `threads` is the number of CPU threads, unless the job or OMP_NUM_THREADS sets one. `gpu` becomes
    CUDA_VISIBLE_DEVICES; None leaves that as it is.
    """
    return JobProcess(job if threads is None else job.with_threads(threads), gpu)


class JobProcess:
    """A job that is being trained; made by `start`."""

    def __init__(self, job: Job, gpu: str | None) -> None:
        self.job = job
        self.began = time.monotonic()
        self.log: Path = job.run.output  # all that the job prints, and the traceback of a fault
        self._process: Child[Outcome] = Child(partial(_train, job), gpu)
        self._outcome: Outcome | None = None
        self.pid, self.sentinel = self._process.pid, self._process.sentinel

    def poll(self) -> Outcome | None:
        """The outcome if the process has ended."""
        return self.wait(timeout=0)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Wait at most `timeout` seconds (None: as long as it takes); None if the process has not ended by then."""
        if self._outcome is None and self._process.has_ended(timeout):
            code = self._process.code
            self._outcome = self._process.result or Outcome(code, _cause_of_death(code), can_go_on=True)
        return self._outcome

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask the run to save a checkpoint and end; returns at once."""
        self._process.send(number)

    def kill(self) -> None:
        """End the process at once; the run can go on from its newest checkpoint."""
        self.stop(getattr(signal, "SIGKILL", signal.SIGTERM))


class Child(Generic[T]):
    """A process that computes `work()`, which must be picklable, as must its result."""

    def __init__(self, work: Callable[[], T], gpu: str | None = None) -> None:
        prepare()
        environ = dict(os.environ) | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
        self._receiver, sender = CONTEXT.Pipe(duplex=False)
        try:
            self._process = CONTEXT.Process(target=_main, args=(work, environ, sender), name="job")
            self._process.start()
        finally:
            sender.close()
        self.pid: int = self._process.pid
        self.sentinel: int = self._process.sentinel  # ready when the process has ended, for `wait` on several
        self.ended = False
        self.result: T | None = None  # None if it died before
        self.code = 0

    def has_ended(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds."""
        if not self.ended and wait([self.sentinel], timeout):
            self._process.join()
            self.ended, self.code = True, int(self._process.exitcode)
            with suppress(EOFError, OSError):
                if self._receiver.poll():
                    self.result = self._receiver.recv()
            self._receiver.close()
            self._process.close()
        return self.ended

    def send(self, number: int) -> None:
        """A signal, unless it has ended."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _cause_of_death(code: int) -> str:
    """A sentence for a process that could not say anything itself."""
    if code >= 0:
        return f"its process ended with exit code {code} and said nothing"
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return "killed by SIGKILL, as the system does when memory runs out"
    return f"killed by {name}"


def _main(work: Callable[[], Any], environ: Mapping[str, str], sender: Connection) -> None:
    """What the process does. The server's environment may be older than the job's."""
    os.environ.clear()
    os.environ.update(environ)
    _take_threads_over()
    with recording_signals(for_good=True):
        unblock_signals()
        _stop_with_the_parent()
        with suppress(OSError):  # where memory runs out, Linux shall end a job, not what started it
            Path("/proc/self/oom_score_adj").write_text("500")
        result = work()
        sender.send(result)
        sender.close()
        sys.exit(getattr(result, "code", 0))


def _take_threads_over() -> None:
    """The threads of OMP_NUM_THREADS, as of a process that imports torch with it: others change the last bits."""
    threads = asked_threads()
    if threads is not None and (torch := sys.modules.get("torch")):
        torch.set_num_threads(threads)


def _train(job: Job) -> Outcome:
    fresh = not job.run.path.exists()
    try:
        job.run.path.mkdir(parents=True, exist_ok=True)
        print_into(job.run.output)
        return train(job)
    except OSError as error:
        return Outcome(2, str(cannot_write(job.run.path, error)))
    finally:
        if not job.run.config.exists():  # a refused run leaves nothing behind
            with suppress(OSError):
                job.run.output.unlink(missing_ok=True)
                if fresh:
                    job.run.path.rmdir()


def print_into(path: Path | str) -> None:
    """Append all that this process prints, also C code and crashes, to the file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.enable(2)


def _stop_with_the_parent() -> None:
    """Let a thread wait for the end of the process that started this one, and ask the run to stop then."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
