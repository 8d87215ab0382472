"""Signals that ask a run to stop: what they do before, during and after the loop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

# SIGHUP: the terminal is gone. SIGUSR1: Slurm's warning (sbatch --signal=USR1@60) before the time limit.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class Interrupted(BaseException):
    """A signal ends the command. Not an Exception, so that nothing on the way takes it for a fault."""

    def __init__(self, number: int, told: bool = False) -> None:
        """`told`: the user knows already what became of the run."""
        self.signal = signal.Signals(number)
        self.told = told
        super().__init__(self.signal.name)

    @property
    def exit_code(self) -> int:
        """As a shell counts: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal


class Abandoned(BaseException):
    """A signal has cut short what can be done again later."""


def raising_interrupted() -> AbstractContextManager[None]:
    """Let the signals raise Interrupted at once, so that what was begun is cleared away."""

    def leave(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    return _handling(leave)


class StopRequest:
    """Within `noting()`, the first signal is only noted in `received`, and a second one raises Interrupted at once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._cuts_short = False

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """For what takes long and can be done again: the first signal raises Abandoned within it."""
        self._cuts_short = True
        try:
            yield
        finally:
            self._cuts_short = False

    def noting(self) -> AbstractContextManager[None]:
        def note(number: int, _: FrameType | None) -> None:
            if self.received is not None:
                raise Interrupted(number)
            self.received = signal.Signals(number)
            if self._cuts_short:
                raise Abandoned

        return _handling(note)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Python allows it in the main thread only; elsewhere signals keep their ways."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number in STOPPING:
        # A run that was started with nohup shall outlive its terminal.
        if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
