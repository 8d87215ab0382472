"""Signals that ask the program to stop: noted when they come, and heeded where it is safe to stop.

The handler raises nothing. An exception out of a handler appears inside whatever runs at that instant, and C code that
calls Python (an import, pybind11) swallows it, reports it as another error, or aborts.
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

# SIGHUP: the terminal is gone. SIGUSR1: Slurm's warning (sbatch --signal=USR1@60) before the time limit; SIGUSR2:
# that of submitit.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
]
# Somebody loses patience with these. A closed terminal sends SIGHUP twice (the kernel, then the shell), and a warning
# that is given again is only a warning.
INSISTING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal ends the command. Not an Exception, so that nothing on the way takes it for a fault."""

    def __init__(self, number: int, reported: bool = False) -> None:
        """`reported`: the user knows already what became of the run."""
        super().__init__(number, reported)  # what pickle makes it from again
        self.signal = signal.Signals(number)
        self.reported = reported

    def __str__(self) -> str:
        return self.signal.name

    @property
    def exit_code(self) -> int:
        """As a shell counts: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal


class Abandoned(BaseException):
    """A signal has cut short what can be done again later."""


@dataclass
class _Stop:
    """Of this process, as signals are."""

    noting: bool = False
    received: signal.Signals | None = None
    abandons: bool = False  # what runs now can be done again: Abandoned in the place of Interrupted
    deferred: bool = False  # what runs now asks `asked_to_stop`, and saves
    waiting: bool = False  # what runs now may take for ever, in Python alone: the handler may raise
    farewell: Callable[[signal.Signals], None] | None = None
    leaving: bool = False


_stop = _Stop()


@contextmanager
def noting(for_good: bool = False) -> Iterator[None]:
    """The first signal is noted, for `stop_if_asked` and `asked_to_stop`; one that insists ends the process at once.

    Within another `noting` it changes nothing. With `for_good` it lasts until the process ends. Python allows handlers
    in the main thread only; elsewhere signals keep their ways.
    """
    global _stop
    if _stop.noting or threading.current_thread() is not threading.main_thread():
        yield
        return
    _stop = _Stop(noting=True)
    before = {}
    for number in STOPPING:
        # A run that was started with nohup shall outlive its terminal.
        if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, _note)
    try:
        yield
    finally:
        if not for_good:
            for number, old in before.items():
                signal.signal(number, signal.SIG_DFL if old is None else old)
            _stop = _Stop()


def asked_to_stop() -> signal.Signals | None:
    """The first signal that came."""
    return _stop.received


def stop_if_asked() -> None:
    """Raise Interrupted after a signal; Abandoned within `abandoning`, and nothing within `deferring`."""
    if _stop.received is not None and not (_stop.deferred and not _stop.abandons):
        raise Abandoned if _stop.abandons else Interrupted(_stop.received)


@contextmanager
def deferring() -> Iterator[None]:
    """What runs within looks at `asked_to_stop` by itself, and saves before it ends."""
    with _set(deferred=True):
        yield


@contextmanager
def abandoning() -> Iterator[None]:
    """For what takes long and can be done again: it ends by Abandoned."""
    with _set(abandons=True):
        yield


@contextmanager
def waiting() -> Iterator[None]:
    """For a network that may never answer: here the handler raises, if all that runs within is Python."""
    with _set(waiting=True):
        stop_if_asked()
        yield


@contextmanager
def before_forced_exit(farewell: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `farewell` before a second signal ends the process: between any two bytecodes of what runs within."""
    with _set(farewell=farewell):
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


def _note(number: int, _: FrameType | None) -> None:
    found = signal.Signals(number)
    if _stop.received is None:
        _stop.received = found
        _signal_children(number)
        if _stop.waiting:
            stop_if_asked()
    elif found in INSISTING and _is_main_process():  # of a parallel sweep's jobs the main process decides
        _leave_at_once(found)


def _leave_at_once(found: signal.Signals) -> None:
    """Without another word from anyone who might be in the middle of something."""
    if not _stop.leaving:  # a third signal waits for no farewell
        _stop.leaving = True
        with suppress(BaseException):
            if _stop.farewell is None:
                report(f"ended at once by {found.name}")
            else:
                _stop.farewell(found)
            sys.stdout.flush()
    _signal_children(getattr(signal, "SIGKILL", signal.SIGTERM))
    os._exit(128 + found)


def _is_main_process() -> bool:
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is None or multiprocessing.current_process().name == "MainProcess"


def _signal_children(number: int) -> None:
    """The jobs of a parallel sweep: a terminal's Ctrl-C reaches them by itself, `kill` doesn't."""
    multiprocessing = sys.modules.get("multiprocessing")
    for child in [] if multiprocessing is None else multiprocessing.active_children():
        if child.pid is not None:
            with suppress(OSError):
                os.kill(child.pid, number)
