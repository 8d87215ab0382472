"""One detector for each trouble: a function of a run's history that returns the evidence for it, or None."""

from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis import measures
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.measures import (
    ALIKE,
    FAR,
    FEW,
    HARDLY,
    ONE_SIDED,
    REPEATED,
    STEADY,
    accuracies_of,
    accuracy_words,
)

EXPLODED = 1e5  # norm of a gradient; in healthy runs it stays far below 1,000
STILL = 0.2  # a sample that moves less between grids does not change; BatchNorm's averages alone move it by 0.15
SHRUNK = 0.25  # of G's largest gradient so far
RECOVERING = 0.05  # gain in spread over a few grids, or a third of the loss in duplicates
RESTLESS = 0.5  # a sample that moves more between any two grids never settles
BACK_AND_FORTH = 0.04  # of the distance, which goes and comes back so far from grid to grid
LEAST_GRIDS = 30  # before a run can have stalled
GAIN = 0.1  # of a measure, from one quarter of a run to the one after the next


class Finding(NamedTuple):
    evidence: str  # with figures
    certain: bool = False  # it comes from thousands of samples, and need not be seen twice
    begins: bool = True  # False: it keeps a verdict that is reported already, and is none by itself


def diverged(history: History) -> Finding | None:
    norms = {name: history.logged(f"gradient_norm/{name}") or 0.0 for name in ("generator", "discriminator")}
    name, norm = max(norms.items(), key=lambda item: item[1])
    if norm <= EXPLODED:
        return None
    return Finding(f"the {name}'s gradients have a norm of {norm:.2g} (those of healthy runs stay far below 1,000)")


def generator_not_learning(history: History) -> Finding | None:
    if (
        not _stuck(history)
        or measures.is_at_chance(history)
        or (measures.is_sure(history) and _shrunk(history) is not None)
    ):
        return None  # then the trouble is D's: it is at chance, or it wins
    moved, away = history.sampled("change", history.trend - 1), history.sampled("distance", history.trend)
    first = history.grids[1]
    return Finding(
        f"samples of the same latents move by {fmean(moved):.2f} spreads from grid to grid; they are {away[-1]:.2f} "
        f"spreads from the data (at first {first['samples/distance']:.2f}), and {measures.spread(history, 1)[-1]:.0%} "
        f"as varied (at first {first['samples/spread']:.0%})"
    )


def _stuck(history: History) -> bool:
    """Samples don't change, and are as bad as at the second grid: far from the data, or all alike.

    The first grid is no measure: at step 0 BatchNorm's averages are not those of any images yet.
    """
    count = history.trend
    if not history.has_trend:
        return False
    away, spread = history.sampled("distance", count), history.sampled("spread", count)
    if median(history.sampled("change", count - 1)) > STILL or max(away) - min(away) > STEADY:
        return False
    first = history.grids[1]
    far = away[-1] > FAR and away[-1] > HARDLY * first["samples/distance"]
    return far or (spread[-1] < ALIKE and abs(spread[-1] - first["samples/spread"]) < 2 * STEADY)


def discriminator_not_learning(history: History) -> Finding | None:
    """Samples are bad and D hardly distinguishes them from the data, so that G can't learn from it."""
    accuracies = accuracies_of(history, history.trend - 1)
    if not history.has_trend or accuracies is None or not measures.is_at_chance(history):
        return None
    hardly = history.sampled("distance", 1)[-1] > HARDLY * history.grids[1]["samples/distance"]
    excused = min(accuracies) > ONE_SIDED or not hardly
    bad = measures.lacking(history, ("distance",), excused)
    if not bad and not measures.lacking(history, ("spread", "variety", "classes", "duplicates"), excused):
        bad = measures.lacking(history, ("texture",), excused)  # a collapse changes it too
    if not bad or oscillation(history) is not None:
        return None  # no known lack, or D learns and is overtaken each time
    return Finding(f"{accuracy_words(accuracies)}, though {' and '.join(bad)}")


def generator_collapse(history: History) -> Finding | None:
    count = history.trend
    if not history.has_trend or _stuck(history) or _recovering(history):
        return None
    if discriminator_not_learning(history) is not None or oscillation(history) is not None:
        return None  # D accepts anything, or G makes other images at each grid
    scores = [history.evaluated(name) for name in ("recall", "coverage")]
    known = [score for score in scores if score is not None]
    covered = f"; the last evaluation found {min(known):.0%} of the data covered" if known else ""
    spread, classes, repeated = (history.sampled(name, count) for name in ("spread", "classes", "duplicates"))
    if repeated and min(repeated[-2:]) > REPEATED:
        return Finding(f"{repeated[-1]:.0%} of the samples have a near-duplicate among the others{covered}")
    if max(spread) < ALIKE:
        return Finding(f"samples differ from one another {spread[-1]:.0%} as much as the data's images{covered}")
    if (variety := history.sampled("variety", count)) and max(variety) < FEW:
        return Finding(
            f"samples are nearest to {variety[-1]:.0%} as many training images as the data's own would be{covered}"
        )
    if classes and max(classes) < ALIKE:
        return Finding(f"samples cover {classes[-1]:.0%} of the data's classes{covered}")
    return None


def _recovering(history: History) -> bool:
    """Samples get less alike, as the first images of a convolutional G do."""
    spread, repeated = measures.spread(history, history.trend), history.sampled("duplicates", history.trend)
    return measures.rise(spread) > RECOVERING or (repeated != [] and measures.rise(repeated) < -3 * RECOVERING)


def discriminator_wins(history: History) -> Finding | None:
    away, accuracies = history.sampled("distance", history.trend), accuracies_of(history, history.trend - 1)
    if not history.has_trend or accuracies is None or not measures.is_sure(history):
        return None
    if away[-1] < FAR or measures.gets_nearer(history):
        return None
    shrunk = _shrunk(history)
    if _stuck(history) and shrunk is None:
        return None  # G itself does not learn, so that D has it easy
    found = f"{accuracy_words(accuracies, 1)}, and samples stay {away[-1]:.2f} spreads from the data"
    return Finding(
        found if shrunk is None else f"{found}; G's gradients have shrunk to {shrunk:.1g} of their largest norm"
    )


def _shrunk(history: History) -> float | None:
    """The share of G's largest gradient that is left, if it is small."""
    now, largest = history.logged("gradient_norm/generator"), history.largest_gradient
    return now / largest if now is not None and largest > 0 and now < SHRUNK * largest else None


def oscillation(history: History) -> Finding | None:
    count = history.trend + 2
    moved, away = history.sampled("change", count - 1), history.sampled("distance", count)
    if len(history.grids) <= count or median(moved) < RESTLESS or max(away) < FAR:
        return None
    if measures.back_and_forth(away) < BACK_AND_FORTH * fmean(away):
        return None
    return Finding(
        f"samples of the same latents move by {min(moved):.2f} to {max(moved):.2f} spreads from grid to grid, and go "
        f"from {min(away):.2f} to {max(away):.2f} spreads from the data and back"
    )


def stalled(history: History) -> Finding | None:
    """The last quarter of the run is no better than the one before its middle, by any measure."""
    count = len(history.grids)
    if count < LEAST_GRIDS:
        return None
    quarter = count // 4
    before, now = history.grids[count // 2 - quarter : count // 2], history.grids[-quarter:]

    def mean(part: list[Record], name: str) -> float:
        return fmean(grid.get(f"samples/{name}", 0.0) for grid in part)

    away, was = mean(now, "distance"), mean(before, "distance")
    shares = [(mean(before, name), mean(now, name)) for name in ("spread", "variety", "classes")]
    if away < was - GAIN * abs(was) or any(min(after, 1.0) > (1 + GAIN) * first for first, after in shares):
        return None
    since = int(before[-1]["step"])
    return Finding(f"samples are no nearer to the data and no more varied than they were before step {since}")
