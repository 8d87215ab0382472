"""The measures that symptoms and health are read from, and the thresholds they share.

They mean the same for every loss: how samples lie among the data, how often D is right, how far gradients have grown or
shrunk within the run. Losses decide nothing: what 0.7 means depends on the loss.
"""

from collections.abc import Callable, Collection
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis.history import History

# Distances are in spreads: mean distances of the data's images from one another. Spread and classes are 1 for the data.
FAR = 0.35  # from the data, beyond what the data's images are from each other: no good samples yet
HARDLY = 0.7  # of an earlier distance: above it, samples are hardly nearer than they were
STEADY = 0.03  # a change of a measure between grids that means nothing
SURE = 0.95  # D's accuracy on reals and on fakes, each, from which on it leaves G little to learn
FOOLED = 0.6  # D's accuracy on both together, up to which it hardly tells them apart
BLIND = (
    0.05  # D's accuracy on reals or fakes; hinge D's with small logits may be so and see the difference all the same
)
ALIKE = 0.4  # spread or classes
FEW = 0.1  # variety
REPEATED = 0.25  # share of samples with a near-duplicate
BETTER = 0.9  # of what a measure lacked by the middle of the run: it has clearly improved since


class Measure(NamedTuple):
    """Of samples. `lack` is 0 for the data itself and grows with what is wrong."""

    name: str
    lack: Callable[[float], float]
    limit: float  # of the lack: up to it samples are good
    told: str  # with the value in it


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
    """By which of these measures (all) the newest samples are not good.

    Being clearly better than halfway through is an excuse, but not where D is sure: then it leaves G little to learn.
    """
    excused = excused and not is_sure(history)
    found = []
    for measure in MEASURES:
        if names is not None and measure.name not in names:
            continue
        values = history.sampled(measure.name, len(history.grids))
        if values and measure.lack(values[-1]) > measure.limit and not (excused and _improves(measure, values)):
            found.append(measure.told.format(values[-1]))
    return found


def _improves(measure: Measure, values: list[float]) -> bool:
    """The first is of step 0, where BatchNorm's averages are not yet those of any images."""
    lacks = [measure.lack(value) for value in values[1:]]
    half, last = len(lacks) // 2, 2 if len(lacks) >= 4 else 1
    return half > 0 and fmean(lacks[-last:]) < BETTER * fmean(lacks[max(half - 2, 0) : half])


def rights(history: History, grids: int = 1) -> tuple[float, float] | None:
    """D's accuracies on reals and fakes in the time of the last `grids` grids; None where nothing was logged."""
    real, fake = (history.logged(f"accuracy/{kind}", grids) for kind in ("real", "fake"))
    return None if real is None or fake is None else (real, fake)


def in_words(accuracies: tuple[float, float], digits: int = 0) -> str:
    real, fake = accuracies
    return f"D is right on {real:.{digits}%} of the reals and {fake:.{digits}%} of the fakes"


def is_sure(history: History) -> bool:
    """D, of what it sees, for the whole trend."""
    accuracies = rights(history, history.trend - 1)
    return accuracies is not None and min(accuracies) >= SURE


def is_fooled(history: History) -> bool:
    """D has hardly told reals from fakes for the whole trend."""
    accuracies = rights(history, history.trend - 1)
    return accuracies is not None and fmean(accuracies) <= FOOLED


def spread(history: History, count: int) -> list[float]:
    """More than the data's is no gain."""
    return [min(value, 1.0) for value in history.sampled("spread", count)]


def rise(values: list[float]) -> float:
    """From the first half to the second."""
    half = max(len(values) // 2, 1)
    return fmean(values[-half:]) - fmean(values[:half])


def gets_nearer(history: History) -> bool:
    """In the last few grids, or in the second half of the run so far."""
    away = history.sampled("distance", len(history.grids))
    middle = away[max(len(away) // 2 - 2, 0) : len(away) // 2 + 3]
    return away[-1] < 0.8 * away[-history.trend] or median(away[-5:]) < HARDLY * median(middle)


def back_and_forth(values: list[float]) -> float:
    """How far they go from one to the next and come back, on average."""
    travelled = sum(abs(after - before) for before, after in pairwise(values))
    return (travelled - abs(values[-1] - values[0])) / (len(values) - 1)
