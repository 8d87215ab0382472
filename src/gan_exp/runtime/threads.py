"""The number of CPU threads for a run, chosen by timing a few training steps with each number.

More threads are faster on idle cores, and several times slower on busy ones, where they wait for each other.
"""

import time
from collections.abc import Callable
from statistics import median

import torch

from gan_exp.runtime.resources import asked_threads
from gan_exp.runtime.signals import stop_if_asked

ALL = torch.get_num_threads()  # torch's default, before a run changes it
ROUNDS = 5  # each times all numbers, so that a disturbance of the machine affects all of them
SLICE_S = 0.03  # the time for one number in a round; at least one step is taken
BUDGET_S = 2.0  # no further round begins after it
MOST_TIME = 0.9  # of the time with fewer threads: less gain is noise, and more threads suffer more from other programs
OWN_CORE = 0.9  # the share of the time in which a thread computes that has a core to itself


def choose_threads(
    make_step: Callable[[], Callable[[], object]],
    device: torch.device,
    deterministic: bool,
    most: int | None = None,
    seconds_at_least: float = 0.0,
) -> tuple[int, str] | None:
    """Set torch's number of threads, at most `most` (None: all cores); returns it and a line with the reason.

    `make_step` returns a training step to time. Nothing is timed, and None is returned, if OMP_NUM_THREADS asks for a
    number, for `deterministic` runs (the choice depends on the load), with one core, and on a GPU. Nor is a step timed
    of which `seconds_at_least` are known: it would be silent for minutes, and large operations gain by all cores.
    """
    if asked_threads() is not None:
        return None
    most = min(ALL, most or ALL)
    torch.set_num_threads(most)
    if deterministic or device.type != "cpu" or most == 1:
        return None
    if seconds_at_least > BUDGET_S:
        return most, f"threads: {most} (steps are too long to try other numbers: device.threads sets one)"
    seconds, share = _measure(make_step(), most)
    busy = share < OWN_CORE
    chosen = 1 if busy else _choose(seconds)
    torch.set_num_threads(chosen)
    times = ", ".join(f"{1000 * median(taken):.1f} ms with {threads}" for threads, taken in seconds.items())
    why = f"a step takes {times}" + ("; other programs keep the cores busy" if busy else "")
    return chosen, f"threads: {chosen} ({why})"


def _candidates(most: int) -> list[int]:
    """`most` and its halves, in increasing order: 1, 3, 6, 12."""
    candidates = [most]
    while candidates[0] > 1:
        candidates.insert(0, candidates[0] // 2)
    return candidates


def _measure(step: Callable[[], object], most: int) -> tuple[dict[int, list[float]], float]:
    """Seconds per step for each number of threads and round; the share of its time in which a lone thread computed."""
    numbers = _candidates(most)
    for threads in numbers:
        torch.set_num_threads(threads)
        step()  # the first step creates the optimizers' moments, and each number its threads
    seconds: dict[int, list[float]] = {threads: [] for threads in numbers}
    alone = 0.0
    began = time.perf_counter()
    for round_number in range(ROUNDS):
        if round_number > 0 and time.perf_counter() - began > BUDGET_S:
            break
        for threads in numbers if round_number % 2 == 0 else reversed(numbers):
            torch.set_num_threads(threads)
            taken, computed = _time_slice(step)
            seconds[threads].append(taken)
            if threads == 1:
                alone += computed
    return seconds, alone / sum(seconds[1])


def _time_slice(step: Callable[[], object]) -> tuple[float, float]:
    """The mean seconds per step, by the clock and of this thread's computing time."""
    steps, began, computed = 0, time.perf_counter(), time.thread_time()
    while steps == 0 or time.perf_counter() - began < SLICE_S:
        stop_if_asked()
        step()
        steps += 1
    return (time.perf_counter() - began) / steps, (time.thread_time() - computed) / steps


def _choose(seconds: dict[int, list[float]]) -> int:
    """More threads are chosen if they are clearly faster by the median, and faster in all rounds but one."""
    chosen = 1
    for more in sorted(seconds)[1:]:
        ratios = sorted(
            with_more / with_fewer for with_more, with_fewer in zip(seconds[more], seconds[chosen], strict=True)
        )
        if median(ratios) < MOST_TIME and ratios[-2:][0] < 1:
            chosen = more
    return chosen
