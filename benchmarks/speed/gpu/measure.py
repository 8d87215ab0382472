"""Clock, memory and the chip's own rates."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

CHUNKS = 5
PRECISIONS = ("float32", "tf32", "bf16")


class Speed(NamedTuple):
    """Of one way to compute a step."""

    seconds: float  # of a step: the median of the chunks
    first_seconds: float  # until the first step was done, compiling and capturing included
    memory_gib: float  # at most, in tensors: a replayed graph takes what its capture took


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def torchs_defaults() -> None:
    """As a new process has them: TF32 in convolutions, not in products. gan-exp makes its own settings."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = True, False


def measure(make: Callable[[], Callable[[], Any]], device: str, seconds: float = 1.2) -> Speed:
    """`make` returns the step. After a warm-up, `CHUNKS` chunks, or one where a step takes long."""
    tidy(device)
    began = time.perf_counter()
    step = make()
    step()
    synchronize(device)
    first = time.perf_counter() - began
    one = _seconds(step, 1, device)
    if one < 0.15:  # the first steps may be warm-ups of a capture
        one = _seconds(step, 8, device)
    count = max(1, round(seconds / CHUNKS / one))
    found = [_seconds(step, count, device) for _ in range(CHUNKS if one * CHUNKS < 2 * seconds else 1)]
    memory = torch.cuda.max_memory_allocated() / 2**30 if device != "cpu" else 0.0
    del step
    tidy(device)
    return Speed(statistics.median(found), first, memory)


def _seconds(step: Callable[[], Any], count: int, device: str) -> float:
    synchronize(device)
    began = time.perf_counter()
    for _ in range(count):
        step()
    synchronize(device)
    return (time.perf_counter() - began) / count


def tidy(device: str) -> None:
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def matrix_rates(device: str, size: int) -> dict[str, float]:
    """Operations a second of large products of random numbers, by precision."""
    found = {}
    for precision in PRECISIONS:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        first, second = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        speed = measure(lambda a=first, b=second: lambda: a @ b, device, 0.1)
        found[precision] = 2 * size**3 / speed.seconds
    torchs_defaults()
    return found
