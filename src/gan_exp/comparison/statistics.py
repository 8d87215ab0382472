"""Means over seeds, and whether a group's difference from the best is larger than the spread: for few seeds.

Welch's t-test (Welch 1947): the values of each group come from a normal distribution, whose spread may differ from
group to group. It is the test that Colas et al. (2019, arXiv:1904.06979) recommend for comparisons over seeds. A
permutation test assumes less, but with three values against three its smallest p is 0.1, so it could show nothing. All
others are compared with the best, so p is adjusted for their number (Holm 1979). The best is chosen by the same
values, which makes it look better than it is: of equal groups, a difference is found in up to 8 % of comparisons
instead of 5 % (see tests/comparison/test_statistics.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

TEST = "Welch's t-test against the best, adjusted by Holm's method"
LEVEL = 0.05  # a smaller p shows a difference


@dataclass(frozen=True)
class Summary:
    """Values of one metric over the seeds of a group; `sd` is the sample standard deviation, None of a single value."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if self.n > 1 else None

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + ("" if self.sd is None else f" +- {self.sd:.2g}")


def welch(first: Summary, second: Summary) -> float | None:
    """The two-sided p of equal means; None where the spread of one is unknown, or neither has any."""
    if first.sd is None or second.sd is None:
        return None
    parts = [one.sd**2 / one.n for one in (first, second) if one.sd is not None]
    error = sum(parts)
    if error == 0:  # nothing varies with the seed: the values say no more than that they differ
        return None
    from scipy.special import stdtr

    degrees = error**2 / sum(part**2 / (one.n - 1) for part, one in zip(parts, (first, second), strict=True))
    return float(2 * stdtr(degrees, -abs(first.mean - second.mean) / math.sqrt(error)))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p adjusted for the number of comparisons: at most LEVEL is a false alarm with that probability over all."""
    adjusted = [1.0] * len(ps)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted


def rank(summaries: Sequence[Summary], better: Literal["lower", "higher"]) -> list[int]:
    """The places of `summaries`, the best mean first."""
    sign = 1 if better == "lower" else -1
    return sorted(range(len(summaries)), key=lambda place: sign * summaries[place].mean)


def against_best(summaries: Sequence[Summary], best: int) -> list[float | None]:
    """The adjusted p of each against that at `best`; None for the best itself and where there is no test."""
    found = [None if place == best else welch(one, summaries[best]) for place, one in enumerate(summaries)]
    adjusted = iter(holm([p for p in found if p is not None]))
    return [None if p is None else next(adjusted) for p in found]
