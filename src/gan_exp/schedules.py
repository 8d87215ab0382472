"""Schedules: factors on a base value as functions of the run's progress, from 0 (first step) to 1 (last step)."""

import math

from gan_exp.ranges import Fraction, NonNegativeFloat, PositiveShare


class Constant:
    """1 throughout the run."""

    constant = True  # read by the doctor, whose remedies include a schedule

    def __call__(self, progress: float) -> float:
        return 1.0


class Linear:
    """1 for the share `start` of the run, then linear to `final` at the end."""

    def __init__(self, final: NonNegativeFloat = 0.0, start: Fraction = 0.5) -> None:
        self.final = final
        self.start = start

    def __call__(self, progress: float) -> float:
        done = max(0.0, progress - self.start) / (1.0 - self.start)
        return 1.0 + (self.final - 1.0) * done


class Cosine:
    """Half a cosine from `initial` to `final` over the share `until` of the run, then `final`.

    Loshchilov and Hutter 2017, "SGDR", without restarts.
    """

    def __init__(
        self, final: NonNegativeFloat = 0.0, initial: NonNegativeFloat = 1.0, until: PositiveShare = 1.0
    ) -> None:
        self.final, self.initial, self.until = final, initial, until

    def __call__(self, progress: float) -> float:
        done = min(progress / self.until, 1.0)
        return self.final + (self.initial - self.final) * (1.0 + math.cos(math.pi * done)) / 2.0
