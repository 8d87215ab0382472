"""A few timed steps of a job before the sweep begins: the time it will take, its CPU threads, and its memory."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_exp.runtime.resources import asked_threads, private_memory
from gan_exp.sweeps.job import Job

if TYPE_CHECKING:
    import torch

SLICE_S = 0.2  # the time for counting steps
KINDS = 3  # so many kinds of jobs are timed; the others are taken for their mean
# What makes one step take as long as another's. Learning rates, seeds and the like don't.
KIND = ("dataset", "model", "batch_size", "n_critic", "pac", "augment", "penalty", "fast_path")


class Trial(NamedTuple):
    step_seconds: float
    threads: int | None  # the fastest number; None where none was timed
    memory: int | None  # bytes


def kind_of(config: Mapping[str, Any]) -> str:
    """Runs of the same kind take the same time for a step."""
    return repr([config.get(key) for key in KIND])


def try_steps(job: Job, most_threads: int) -> Trial | None:
    """Time steps of the job in this process, which writes nothing; None if that isn't possible."""
    from gan_exp.sweeps.process import print_into

    print_into(os.devnull)
    with suppress(Exception):  # whatever it is, the job itself will tell
        return _try_steps(job.config, most_threads)
    return None


def _try_steps(plain: dict[str, Any], most_threads: int) -> Trial:
    from gan_exp.config.check import check
    from gan_exp.runtime.device import prepare_device
    from gan_exp.runtime.threads import choose_threads
    from gan_exp.training.assembly import trial_step
    from gan_exp.training.build import build_data, build_state
    from gan_exp.training.needs import run_needs

    config = check(plain)
    device = prepare_device(config.device)
    data = build_data(config, device)
    state = build_state(config, data.spec, device)
    make_step = cache(partial(trial_step, config, state, data, device))
    threads = None
    if config.device.threads is None and asked_threads() is None:
        seconds = run_needs(config, state, data, device, ".").seconds_at_least
        choice = choose_threads(make_step, device, config.device.deterministic, most_threads, seconds)
        threads = None if choice is None else choice[0]
    return Trial(_seconds_of(make_step(), device), threads, private_memory())


def _seconds_of(step: Callable[[], object], device: "torch.device") -> float:
    """Without those of the first step, which allocates; of steps that take long, the first is enough."""
    from gan_exp.training.needs import SLOW_S

    seconds = _time(step, device, 0.0)
    return seconds if seconds > SLOW_S else _time(step, device, SLICE_S)


def _time(step: Callable[[], object], device: "torch.device", slice_s: float) -> float:
    """Seconds for each of the steps that begin within `slice_s`, at least one."""
    steps, began = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - began < slice_s:
        step()
        steps += 1
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / steps
