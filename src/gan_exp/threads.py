"""How many CPU threads a run computes with: found by playing a few steps of its own game with each number.

More threads are faster on idle cores and several times slower on busy ones, where they wait for each other.
"""

import os
import time
from collections.abc import Callable

import torch

from gan_exp.build import build_batches, build_rules, build_state
from gan_exp.config import Config
from gan_exp.data.packed import PackedImages
from gan_exp.fast_path import choose_player
from gan_exp.step import Turn
from gan_exp.streams import Streams

ALL = torch.get_num_threads()  # torch's own choice, before a run has made another
SECONDS = 0.25  # of playing with each number, at most, once a first step has been played
STEPS = 20
WORTH_IT = 0.95  # of the time that all threads take: less is noise, and a choice that noise makes is no choice


def choose_threads(config: Config, data: PackedImages, device: torch.device) -> tuple[Config, str | None]:
    """The configuration with `device.threads` in it, and a line that says why; torch computes with that number then.

    Nothing is timed where the user, or OMP_NUM_THREADS, says how many, where `device.deterministic` asks for the same
    numbers whatever the load, or where a GPU computes.
    """
    if config.device.threads is not None or "OMP_NUM_THREADS" in os.environ:
        return config, None
    torch.set_num_threads(ALL)
    if config.device.deterministic or device.type != "cpu" or ALL == 1:
        return config, None
    play_step = _game(config, data, device)
    times = {}
    for threads in _candidates(ALL):
        torch.set_num_threads(threads)
        times[threads] = _seconds_a_step(play_step)
    fastest = min(times, key=lambda threads: times[threads])
    chosen = fastest if times[fastest] < WORTH_IT * times[ALL] else ALL
    torch.set_num_threads(chosen)
    told = ", ".join(f"{threads}: {1000 * seconds:.1f} ms" for threads, seconds in times.items())
    kept = config.device.model_copy(update={"threads": chosen})
    return config.model_copy(update={"device": kept}), f"threads: {chosen} (a step takes with {told})"


def _candidates(most: int) -> list[int]:
    """All of them, and half as often as there is a half: 12, 6, 3, 1."""
    found = [most]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return found


def _game(config: Config, data: PackedImages, device: torch.device) -> Callable[[], object]:
    """One step of a game of its own, always on the same batch: the run's begins where its seed says."""
    state, rules = build_state(config, data.spec, device), build_rules(config)
    player, _ = choose_player(config, state, rules, device, lambda _: None)
    streams = Streams(config.seed, device)
    batch = build_batches(config, data).draw(0)
    latents = streams.latents(0, "threads", config.batch_size, config.latent_dim)
    turn = Turn(latents, batch, lambda purpose: streams.at(0, purpose))
    return lambda: player([turn] * config.n_critic, turn)


def _seconds_a_step(play_step: Callable[[], object]) -> float:
    """The fastest of a few: what disturbs a step only makes it longer."""
    seconds: list[float] = []
    began = None
    while len(seconds) < STEPS and (began is None or time.perf_counter() - began < SECONDS):
        step_began = time.perf_counter()
        play_step()
        seconds.append(time.perf_counter() - step_began)
        began = began or time.perf_counter()  # the first one makes the optimizers' moments
    return min(seconds)
