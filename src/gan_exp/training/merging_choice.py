"""How many groups a run's grouped convolutions merge into one: each of their shapes is timed once, on a GPU."""

import time
from collections.abc import Callable, Iterable
from statistics import median

import torch

from gan_exp.models.layers import SMALL
from gan_exp.models.merging import Groups, Shape, convolve_merged, differentiate_merged
from gan_exp.runtime.signals import stop_if_asked
from gan_exp.training.precision import Precision

FACTORS = (1, 2, 4, 8)
MOST_TIME = 0.95  # of the time with fewer groups merged: less gain is noise
ROUNDS = 9  # each times all factors, so that a disturbance affects all of them
PASSES = 5  # in a round
PAYS_FROM = 10_000  # steps: timing takes seconds, most of them for cuDNN's search

Clock = Callable[[], float]


def choose_merging(
    shapes: Iterable[Shape], rows: int, precision: Precision, device: torch.device, clock: Clock = time.perf_counter
) -> tuple[dict[str, int], str]:
    """The factors above 1 by the shapes' names for batches of so many rows, and a line that says why.

    What can't be computed, as for want of memory, isn't taken.
    """
    began, tried = clock(), 0
    chosen: dict[str, int] = {}
    notes: list[str] = []
    for shape in dict.fromkeys(shapes):
        dtype = torch.bfloat16 if precision == "bf16" and not shape.in_float32 else torch.float32
        if dtype == torch.float32 and max(shape.height, shape.width) <= SMALL:
            continue  # a GPU computes it as matrix products
        tried += 1
        try:
            seconds, failures = _time(shape, rows, dtype, device, clock)
        except RuntimeError as error:
            seconds, failures = {}, [_words(error)]
        factor = _choose(seconds)
        if factor > 1:
            chosen[shape.name] = factor
            notes.append(f"{shape.name}: {factor} into one, {seconds[1] / seconds[factor]:.2f} times as fast")
        notes += [f"{shape.name}: {failure}" for failure in failures[:1]]
    if device.type == "cuda":
        torch.cuda.empty_cache()
    result = f"merged in {len(chosen)} of {tried} shapes" if chosen else f"not merged in any of {tried} shapes"
    return chosen, f"groups: {result} ({'; '.join([*notes, f'timed in {clock() - began:.1f} s'])})"


def _time(
    shape: Shape, rows: int, dtype: torch.dtype, device: torch.device, clock: Clock
) -> tuple[dict[int, float], list[str]]:
    """Seconds of a forward pass and both gradients by factor, and why factors are missing."""
    rng = torch.Generator(device).manual_seed(0)
    images, weight = (
        torch.randn(size, generator=rng, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
        for size in ((rows, shape.channels, shape.height, shape.width), (shape.channels, shape.group_size, 3, 3))
    )

    def run(factor: int) -> None:
        groups = Groups(shape.groups, factor)
        for _ in range(PASSES):
            convolve_merged(images, weight, None, groups)
            for at_inputs in (True, False):
                differentiate_merged(images, images, weight, groups, at_inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    taken: dict[int, list[float]] = {}
    failures = []
    for factor in (factor for factor in FACTORS if shape.groups % factor == 0):
        stop_if_asked()
        try:
            run(factor)  # in which cuDNN searches for its fastest algorithms
            taken[factor] = []
        except RuntimeError as error:
            failures.append(f"{factor} into one failed with {_words(error)}")
    for _ in range(ROUNDS):
        for factor, times in taken.items():
            began = clock()
            run(factor)
            times.append(clock() - began)
    return {factor: median(times) for factor, times in taken.items()}, failures


def _choose(seconds: dict[int, float]) -> int:
    """A larger factor is taken if it is clearly faster than the one so far; where 1 failed there is nothing to beat."""
    chosen = 1
    for factor in sorted(seconds) if 1 in seconds else ():
        if seconds[factor] < MOST_TIME * seconds[chosen]:
            chosen = factor
    return chosen


def _words(error: RuntimeError) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:80]}"
