"""How many CPU threads a run computes with: found by timing a few training steps with each number.

More threads are faster on idle cores and several times slower on busy ones, where they wait for each other.
"""

import os
import time
from collections.abc import Callable
from statistics import median

import torch

from gan_exp.runtime.signals import stop_if_asked

ALL = torch.get_num_threads()  # torch's own choice, before a run has made another
ROUNDS = 5  # with each number in turn, so that what disturbs the machine for a while disturbs all of them
SLICE = 0.05  # seconds with a number in a round, and a step at least
ENOUGH = 2.0  # seconds in all, after which no further round begins
WORTH_IT = 0.9  # of the time that fewer threads take: less is noise, and more threads suffer more when others come
OWN_CORE = 0.9  # of the time a thread computes that has its core to itself


def choose_threads(
    make_step: Callable[[], Callable[[], object]], device: torch.device, deterministic: bool
) -> tuple[int, str] | None:
    """The number of threads that torch computes with from now on, and a line that says why.

    `make_step` gives a training step to time. None, and nothing is timed, where OMP_NUM_THREADS gives a number, where
    `deterministic` asks for the same numbers whatever the load, where there is one core, or where a GPU computes.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return None
    torch.set_num_threads(ALL)
    if deterministic or device.type != "cpu" or ALL == 1:
        return None
    seconds, share = _measure(make_step())
    busy = share < OWN_CORE
    chosen = 1 if busy else _fewest_worth_it(seconds)
    torch.set_num_threads(chosen)
    times = ", ".join(f"{threads}: {1000 * median(taken):.1f} ms" for threads, taken in seconds.items())
    why = f"a step takes with {times}" + ("; other programs keep the cores busy" if busy else "")
    return chosen, f"threads: {chosen} ({why})"


def _candidates(most: int) -> list[int]:
    """All of them, and half as often as there is a half, the fewest first: 1, 3, 6, 12."""
    found = [most]
    while found[0] > 1:
        found.insert(0, found[0] // 2)
    return found


def _measure(step: Callable[[], object]) -> tuple[dict[int, list[float]], float]:
    """Seconds that a step takes with each number in each round; the share of them in which a single thread computed."""
    numbers = _candidates(ALL)
    for threads in numbers:
        torch.set_num_threads(threads)
        step()  # the first one makes the optimizers' moments, and others the threads
    seconds: dict[int, list[float]] = {threads: [] for threads in numbers}
    alone = 0.0
    began = time.perf_counter()
    for round_number in range(ROUNDS):
        if round_number > 0 and time.perf_counter() - began > ENOUGH:
            break
        for threads in numbers if round_number % 2 == 0 else reversed(numbers):
            torch.set_num_threads(threads)
            taken, computed = _time_a_slice(step)
            seconds[threads].append(taken)
            if threads == 1:
                alone += computed
    return seconds, alone / sum(seconds[1])


def _time_a_slice(step: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a step by the clock and of this thread's computing, on average: what disturbs it is a part of it."""
    steps, began, computed = 0, time.perf_counter(), time.thread_time()
    while steps == 0 or time.perf_counter() - began < SLICE:
        stop_if_asked()
        step()
        steps += 1
    return (time.perf_counter() - began) / steps, (time.thread_time() - computed) / steps


def _fewest_worth_it(seconds: dict[int, list[float]]) -> int:
    """More threads are taken where they are clearly faster, and in all rounds but one are faster at all."""
    chosen = 1
    for more in sorted(seconds)[1:]:
        ratios = sorted(
            with_more / with_fewer for with_more, with_fewer in zip(seconds[more], seconds[chosen], strict=True)
        )
        if median(ratios) < WORTH_IT and ratios[-2:][0] < 1:
            chosen = more
    return chosen
