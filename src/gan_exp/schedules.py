"""Schedules: a factor on a base value as a function of the run's progress, from 0 (first step) to 1 (last step)."""

import math

from gan_exp.ranges import Fraction, NonNegativeFloat, PositiveShare


class Constant:
    """The base value throughout."""

    def __call__(self, progress: float) -> float:
        return 1.0


class Linear:
    """The base value until `start` of the run has passed, then a straight line to `final` times it at the end."""

    def __init__(self, final: NonNegativeFloat = 0.0, start: Fraction = 0.5) -> None:
        self.final = final
        self.start = start

    def __call__(self, progress: float) -> float:
        way = max(0.0, progress - self.start) / (1.0 - self.start)
        return 1.0 + (self.final - 1.0) * way


class Cosine:
    """Half a cosine from `initial` to `final` times the base value (Loshchilov and Hutter 2017, without restarts).

    It takes the share `until` of the run; then the value stays.
    """

    def __init__(
        self, final: NonNegativeFloat = 0.0, initial: NonNegativeFloat = 1.0, until: PositiveShare = 1.0
    ) -> None:
        self.final, self.initial, self.until = final, initial, until

    def __call__(self, progress: float) -> float:
        way = min(progress / self.until, 1.0)
        return self.final + (self.initial - self.final) * (1.0 + math.cos(math.pi * way)) / 2.0
