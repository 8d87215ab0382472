"""Signals that ask the program to stop: recorded when they arrive, and acted upon where it is safe to stop.

The handler raises nothing. An exception raised in a handler surfaces in whatever code runs at that instant, and C code
that calls Python (an import, pybind11) swallows it, turns it into another error, or aborts.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from gan_exp.runtime.terminal import report

# SIGHUP: the terminal was closed. SIGUSR1: Slurm warns of the time limit (sbatch --signal=USR1@60). SIGUSR2: submitit
# does.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]
# A second one of these ends the process at once. The others may come twice without that intent: a closed terminal sends
# SIGHUP twice (from the kernel and from the shell), and a warning may be repeated.
FORCING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal ends the command. Not an Exception, so that no handler of errors catches it."""

    def __init__(self, number: int, reported: bool = False) -> None:
        """`reported`: a sentence about the end of the run was already printed."""
        super().__init__(number, reported)  # the arguments that pickle passes
        self.signal = signal.Signals(number)
        self.reported = reported

    def __str__(self) -> str:
        return self.signal.name

    @property
    def exit_code(self) -> int:
        """As shells define it: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal


class Abandoned(BaseException):
    """A signal has ended work that can be repeated later; see `abandoning`."""


@dataclass
class _Stop:
    """The state of this process; the booleans say how the code that runs now wants to be stopped."""

    recording: bool = False
    embedded: bool = False  # within a program of somebody else's, which a second Ctrl-C must not end
    received: signal.Signals | None = None
    abandons: bool = False  # by Abandoned instead of Interrupted
    deferred: bool = False  # not at all: it calls `asked_to_stop` itself
    waiting: bool = False  # by an exception in the handler
    before_exit: Callable[[signal.Signals], None] | None = None
    exiting: bool = False


_stop = _Stop()


@contextmanager
def recording_signals(for_good: bool = False, embedded: bool = False) -> Iterator[None]:
    """Record the first signal for `stop_if_asked` and `asked_to_stop`; a second SIGINT or SIGTERM ends the process.

    An inner block changes nothing. With `for_good` the handlers stay until the process ends. `embedded` in a program
    that goes on, such as a notebook: a second SIGINT raises KeyboardInterrupt. Outside of the main thread, where Python
    allows no handlers, signals keep their effects.
    """
    global _stop
    if _stop.recording or threading.current_thread() is not threading.main_thread():
        yield
        return
    _stop = _Stop(recording=True, embedded=embedded)
    before = {}
    for number in STOPPING:
        # A run that was started with nohup must survive its terminal.
        if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, _handle)
    try:
        yield
    finally:
        if not for_good:
            for number, old in before.items():
                signal.signal(number, signal.SIG_DFL if old is None else old)
            _stop = _Stop()


def block_signals() -> None:
    """Keep signals to stop waiting until `unblock_signals`, also in processes that are forked meanwhile."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def unblock_signals() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def asked_to_stop() -> signal.Signals | None:
    """The first signal that arrived, if any."""
    return _stop.received


def note_signal(number: int) -> None:
    """As if this signal had arrived here: another process has told of it."""
    if _stop.received is None:
        _stop.received = signal.Signals(number)


def stop_if_asked() -> None:
    """After a signal, raise Interrupted; within `abandoning` Abandoned; within `deferring` nothing."""
    if _stop.received is not None and not (_stop.deferred and not _stop.abandons):
        raise Abandoned if _stop.abandons else Interrupted(_stop.received)


@contextmanager
def deferring() -> Iterator[None]:
    """For code that calls `asked_to_stop` itself and saves before it ends."""
    with _set(deferred=True):
        yield


@contextmanager
def abandoning() -> Iterator[None]:
    """For long work that can be repeated later: after a signal `stop_if_asked` raises Abandoned."""
    with _set(abandons=True):
        yield


@contextmanager
def waiting() -> Iterator[None]:
    """For pure Python code that may wait for ever, such as for a network: the handler raises Interrupted at once."""
    with _set(waiting=True):
        stop_if_asked()
        yield


def wait_for(thread: threading.Thread) -> None:
    """Wait until it ends or a signal ends the command, which has nothing to save or report then."""
    while thread.is_alive():
        if (number := asked_to_stop()) is not None:
            raise Interrupted(number, reported=True)
        thread.join(timeout=0.2)


@contextmanager
def before_forced_exit(call: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `call` before a second signal ends the process; this may happen between any two bytecodes."""
    with _set(before_exit=call):
        yield


@contextmanager
def _set(**values: object) -> Iterator[None]:
    stop = _stop
    before = {name: getattr(stop, name) for name in values}
    for name, value in values.items():
        setattr(stop, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(stop, name, value)


def _handle(number: int, _: FrameType | None) -> None:
    received = signal.Signals(number)
    if _stop.received is None:
        _stop.received = received
        _signal_children(number)
        if _stop.waiting:
            stop_if_asked()
    elif _stop.embedded and received == signal.SIGINT:
        raise KeyboardInterrupt
    elif received in FORCING and _is_main_process():  # the main process decides for the jobs of a parallel sweep
        _exit_at_once(received)


def _exit_at_once(received: signal.Signals) -> None:
    """End the process without exceptions or cleanup, which could get stuck."""
    if not _stop.exiting:  # a third signal doesn't wait for the callback
        _stop.exiting = True
        with suppress(BaseException):
            if _stop.before_exit is None:
                report(f"ended at once by {received.name}")
            else:
                _stop.before_exit(received)
            sys.stdout.flush()
    _signal_children(getattr(signal, "SIGKILL", signal.SIGTERM))
    os._exit(128 + received)


def _is_main_process() -> bool:
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is None or multiprocessing.current_process().name == "MainProcess"


def _signal_children(number: int) -> None:
    """Pass a signal on to the jobs of a parallel sweep: Ctrl-C in a terminal reaches them directly, `kill` doesn't."""
    multiprocessing = sys.modules.get("multiprocessing")
    for child in [] if multiprocessing is None else multiprocessing.active_children():
        if child.pid is not None:
            with suppress(OSError):
                os.kill(child.pid, number)
