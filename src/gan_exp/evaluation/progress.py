"""What an evaluation says while it computes for long: the share that is done, and the time to go."""

import time
from collections.abc import Callable

EVERY_S = 10.0
FIRST_SHARE = 0.01  # before it, an estimate is mostly that of the first step, which is slow
EVERY_SHARE = 0.05


def span(seconds: float) -> str:
    """A time in words, rounded."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} minutes"


class Progress:
    """Says `what` with the share done and the time to go, at most twenty times; nothing of what takes less than ten
    seconds.
    """

    def __init__(self, say: Callable[[str], None] | None, what: str, total: int) -> None:
        self._say, self._what, self._total = say, what, total
        self._began = self._told = time.perf_counter()
        self._next = FIRST_SHARE * total

    def __call__(self, done: int) -> None:
        """To be called with how much of the total is done."""
        now = time.perf_counter()
        if self._say is None or now - self._told < EVERY_S or not max(1, self._next) <= done < self._total:
            return
        self._told, self._next = now, done + EVERY_SHARE * self._total
        rest = (now - self._began) / done * (self._total - done)
        self._say(f"{self._what}: {done / self._total:.0%}, about {span(rest)} to go")
