"""Measures of samples and of D over a run's history, with the thresholds that detectors and health share.

They mean the same for every loss: how samples lie among the data, how often D is right, how far gradients have grown or
shrunk within the run. The values of the losses are not used, since the meaning of 0.7 depends on the loss.
"""

from collections.abc import Callable, Collection
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis.history import History

OVERFITTING = "discriminator/overfitting"  # the tag

# Distances are in spreads: mean distances between the data's images. Spread and classes are 1 for the data.
FAR = 0.35  # distance from the data, above which samples are not good yet
HARDLY = 0.7  # of an earlier distance: above it, samples are hardly nearer than they were
STEADY = 0.03  # a change of a measure between grids that means nothing
SURE = 0.95  # D's accuracy on reals and on fakes, each, from which on G can learn little from D
CHANCE = 0.6  # D's accuracy on both together, up to which it hardly distinguishes them
# D's accuracy on reals or on fakes alone. With the hinge loss it may be so low though D sees the difference, since all
# of its small logits may lie on one side of the boundary.
ONE_SIDED = 0.05
ALIKE = 0.4  # spread or classes
FEW = 0.1  # variety
REPEATED = 0.25  # share of samples with a near-duplicate
SEVERAL = 5  # grids; over so many the median of a measure of few images is taken
BETTER = 0.9  # of the lack in the middle of the run: below it, a measure has clearly improved since


class Measure(NamedTuple):
    """A measure of samples. `lack` of its value is 0 for the data itself, and larger for worse samples."""

    name: str
    lack: Callable[[float], float]
    limit: float  # of the lack, up to which samples are good
    message: str  # has a place for the value


MEASURES = (
    Measure("distance", float, FAR, f"samples are {{:.2f}} spreads from the data (good: up to {FAR})"),
    Measure("texture", float, 0.6, "structure of some size is {:.1f} octaves off the data's (good: up to 0.6)"),
    Measure("spread", lambda v: abs(1 - v), 0.5, "samples are {:.0%} as varied as the data (good: 50 to 150 %)"),
    Measure(
        "variety", lambda v: 1 - v, 0.85, "samples lie at {:.0%} of as many training images as the data (good: 15 %)"
    ),
    Measure("classes", lambda v: 1 - v, 0.6, "samples fall to {:.0%} of the classes (good: from 40 %)"),
    Measure("duplicates", float, REPEATED, "{:.0%} of the samples have a near-duplicate (good: up to 25 %)"),
)


def lacking(history: History, names: Collection[str] | None = None, excused: bool = True) -> list[str]:
    """Messages for the measures (`names`; None: all) by which the newest samples are not good.

    With `excused`, a measure that is clearly better than halfway through the run is good enough, unless D is sure: then
    G can learn little from it.
    """
    excused = excused and not is_sure(history)
    found = []
    for measure in MEASURES:
        if names is not None and measure.name not in names:
            continue
        values = history.sampled(measure.name, len(history.grids))
        if values and measure.lack(values[-1]) > measure.limit and not (excused and _improves(measure, values)):
            found.append(measure.message.format(values[-1]))
    return found


def _improves(measure: Measure, values: list[float]) -> bool:
    """The first value is left out: at step 0 BatchNorm's averages are not those of any images yet."""
    lacks = [measure.lack(value) for value in values[1:]]
    half, last = len(lacks) // 2, 2 if len(lacks) >= 4 else 1
    return half > 0 and fmean(lacks[-last:]) < BETTER * fmean(lacks[max(half - 2, 0) : half])


def accuracies_of(history: History, grids: int = 1) -> tuple[float, float] | None:
    """D's accuracies on reals and fakes since the `grids`-th last grid; None if none were logged."""
    real, fake = (history.logged(f"accuracy/{kind}", grids) for kind in ("real", "fake"))
    return None if real is None or fake is None else (real, fake)


def accuracy_words(accuracies: tuple[float, float], digits: int = 0) -> str:
    real, fake = accuracies
    return f"D is right on {real:.{digits}%} of the reals and {fake:.{digits}%} of the fakes"


def is_sure(history: History) -> bool:
    """Whether D was right on nearly all images, over the whole trend."""
    accuracies = accuracies_of(history, history.trend - 1)
    return accuracies is not None and min(accuracies) >= SURE


def ranked_above_unseen(history: History) -> float | None:
    """How often D scores a training image above an unseen one; None if none are held out.

    The median over a few grids, since of n unseen images one value has a standard deviation of about 0.29 / sqrt(n) by
    chance. At step 0 D knows no images yet.
    """
    values = [grid[OVERFITTING] for grid in history.grids[1:][-SEVERAL:] if OVERFITTING in grid]
    return median(values) if values else None


def ranking_words(share: float) -> str:
    """Of D, whose name comes before."""
    return f"scores a training image above an unseen one {share:.0%} of the time (50 % without memorising)"


def is_at_chance(history: History) -> bool:
    """Whether D hardly distinguished reals from fakes, over the whole trend."""
    accuracies = accuracies_of(history, history.trend - 1)
    return accuracies is not None and fmean(accuracies) <= CHANCE


def spread(history: History, count: int) -> list[float]:
    """The last `count` values, at most 1: more than the data's spread is no gain."""
    return [min(value, 1.0) for value in history.sampled("spread", count)]


def rise(values: list[float]) -> float:
    """The difference of the means of the second half and the first."""
    half = max(len(values) // 2, 1)
    return fmean(values[-half:]) - fmean(values[:half])


def gets_nearer(history: History) -> bool:
    """Whether the distance falls, over the trend or over the second half of the run so far."""
    away = history.sampled("distance", len(history.grids))
    middle = away[max(len(away) // 2 - 2, 0) : len(away) // 2 + 3]
    return away[-1] < 0.8 * away[-history.trend] or median(away[-5:]) < HARDLY * median(middle)


def back_and_forth(values: list[float]) -> float:
    """How far the values go and come back from one to the next, on average."""
    travelled = sum(abs(after - before) for before, after in pairwise(values))
    return (travelled - abs(values[-1] - values[0])) / (len(values) - 1)
