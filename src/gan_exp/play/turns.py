"""Turns at something that one thread at a time uses, such as a network on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """Those in a hurry go first. (A lock would often go to the thread that has just released it.)"""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken = False
        self._hurried = 0  # threads in a hurry that wait

    @contextmanager
    def take(self, hurry: bool) -> Iterator[None]:
        with self._changed:
            self._hurried += hurry
            self._changed.wait_for(lambda: not self._taken and (hurry or self._hurried == 0))
            self._hurried -= hurry
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
