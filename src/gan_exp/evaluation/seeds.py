"""A generator measured over several seeds, with the time that is left."""

import time
from collections.abc import Callable

from torch import Tensor, nn

from gan_exp.evaluation.evaluator import Evaluator, Measurement
from gan_exp.evaluation.progress import span
from gan_exp.metrics.inputs import DiscriminatorLogits

SECONDS_A_SEED = 2.0  # roughly, beside making samples and their features


def measure_seeds(
    evaluator: Evaluator,
    generator: nn.Module,
    count: int,
    seeds: int,
    discriminator: Callable[[Tensor], DiscriminatorLogits],
    say: Callable[[str], None],
) -> list[Measurement]:
    """One measurement a seed, with a line after each and how long the rest will take.

    The discriminator is measured with the samples of the first seed alone: its other images are always the same.
    """
    samples = count / evaluator.division.ranks.count
    seconds = seeds * (evaluator.seconds_a_sample(generator) * samples + SECONDS_A_SEED)
    say(f"this takes about {span(seconds)}")
    measured: list[Measurement] = []
    began = time.perf_counter()
    for seed in range(seeds):
        measured.append(evaluator.measure(generator, count, seed, discriminator if seed == 0 else None))
        rest = (time.perf_counter() - began) / (seed + 1) * (seeds - seed - 1)
        say(f"seed {seed + 1} of {seeds} measured" + (f", about {span(rest)} to go" if rest else ""))
    return measured
