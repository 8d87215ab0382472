"""What shows in a history that something is wrong: each a function of it, which gives figures in words, or None.

What they rest on means the same for every loss: how samples lie among the data, how often D is right, how far gradients
have grown or shrunk within the run. Losses decide nothing: what 0.7 means depends on the loss.
"""

from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis.history import History, Record

# Distances are in spreads: mean distances of the data's images from one another. Spread and classes are 1 for the data.
EXPLODED = 1e5  # norm of a gradient; those of healthy games stay far below 1,000
TREND = 4  # grids over which a measure is seen to rise or fall
FAR = 0.35  # from the data, beyond what the data's images are from each other: no good samples yet
HARDLY = 0.7  # of an earlier distance: above it, samples are hardly nearer than they were
STILL = 0.15  # how far a sample moves between grids; BatchNorm's averages alone move it by 0.1
STEADY = 0.03  # a change of a measure between grids that means nothing
SURE = 0.95  # D's accuracy on reals and on fakes, each, from which on it leaves G little to learn
SHRUNK = 0.25  # of the largest gradient so far: G is told ever less
ALIKE = 0.4  # spread or classes
REPEATED = 0.25  # share of samples with a near-duplicate
RECOVERING = 0.05  # a gain in spread over a few grids, or a third of a loss in duplicates
RESTLESS = 0.5  # how far a sample moves between any two grids
BACK_AND_FORTH = 0.04  # of the distance: how far it goes and comes back from grid to grid
BY_HEART = 0.8  # how often D puts a training image above a held-out one
COPIES = 0.5  # share of samples that are half as far from a training image as those are from each other
NEARER_THAN_UNSEEN = 0.2  # share of samples, where 0.01 is honest
LEAST_GRIDS = 30  # before it is said that a run has stalled
GAIN = 0.1  # of a measure, from one quarter of a run to the one after the next


class Symptom(NamedTuple):
    evidence: str
    sure: bool = False  # of thousands of samples: it need not be seen twice


def exploding(history: History) -> Symptom | None:
    norms = {name: history.logged(f"gradient_norm/{name}") or 0.0 for name in ("generator", "discriminator")}
    name, norm = max(norms.items(), key=lambda item: item[1])
    if norm <= EXPLODED:
        return None
    return Symptom(f"the {name}'s gradients have a norm of {norm:.2g} (those of healthy games stay far below 1,000)")


def standing_still(history: History) -> Symptom | None:
    if not _stuck(history) or (_sure(history) and _shrunk(history) is not None):
        return None  # or G would learn if D let it
    moved, away = history.sampled("change", TREND - 1), history.sampled("distance", TREND)
    first = history.grids[1]
    return Symptom(
        f"samples of the same latents move by {fmean(moved):.2f} spreads from grid to grid; they are {away[-1]:.2f} "
        f"spreads from the data (at first {first['samples/distance']:.2f}), and {_spread(history, 1)[-1]:.0%} as "
        f"varied (at first {first['samples/spread']:.0%})"
    )


def _stuck(history: History) -> bool:
    """Samples don't change, and are as bad as at the second grid: far away, or all alike.

    At the first one, of step 0, BatchNorm's averages are not yet those of any images.
    """
    away, spread, moved = (history.sampled(name, TREND) for name in ("distance", "spread", "change"))
    if len(away) < TREND or median(moved[1:]) > STILL or max(away) - min(away) > STEADY:
        return False
    first = history.grids[1]
    far = away[-1] > FAR and away[-1] > HARDLY * first["samples/distance"]
    return far or (spread[-1] < ALIKE and abs(spread[-1] - first["samples/spread"]) < 2 * STEADY)


def collapsed(history: History) -> Symptom | None:
    if len(history.grids) < TREND or _stuck(history) or _recovering(history):
        return None
    if swinging(history) is not None:
        return None  # few of the data now, and others at the next grid
    scores = [history.evaluated(name) for name in ("recall", "coverage")]
    known = [score for score in scores if score is not None]
    covered = f"; of the data {min(known):.0%} is covered by the last evaluation" if known else ""
    spread, classes, repeated = (history.sampled(name, TREND) for name in ("spread", "classes", "duplicates"))
    if min(repeated[-2:]) > REPEATED:
        return Symptom(f"{repeated[-1]:.0%} of the samples have a near-duplicate among the others{covered}")
    if max(spread) < ALIKE:
        return Symptom(f"samples differ from one another by {spread[-1]:.0%} of what the data's images do{covered}")
    if classes and max(classes) < ALIKE:
        return Symptom(f"samples fall to {classes[-1]:.0%} of the data's classes{covered}")
    return None


def _recovering(history: History) -> bool:
    """As the first images of a convolutional G do: they are all the same, and then less and less so."""
    return _rise(_spread(history, TREND)) > RECOVERING or _rise(history.sampled("duplicates", TREND)) < -3 * RECOVERING


def _spread(history: History, count: int) -> list[float]:
    """More than the data's is no gain."""
    return [min(spread, 1.0) for spread in history.sampled("spread", count)]


def _rise(values: list[float]) -> float:
    return fmean(values[-2:]) - fmean(values[:2])


def memorised(history: History) -> Symptom | None:
    nearer, told = history.evaluated("nearer"), history.evaluated("logit_overfitting")
    if nearer is not None and nearer > NEARER_THAN_UNSEEN:
        return Symptom(f"{nearer:.0%} of the samples are nearer to a training image than 99 % of unseen ones are", True)
    if told is not None and told > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {told:.0%} of the time (honest: 50 %)", True)
    known, copies = history.grids[-1].get("discriminator/overfitting", 0.0), history.sampled("copies", 1)[-1]
    if known > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {known:.0%} of the time (honest: 50 %)")
    if copies > COPIES:
        return Symptom(
            f"{copies:.0%} of the samples are half as far from a training image as those are from each other"
        )
    return None


def outplayed(history: History) -> Symptom | None:
    away = history.sampled("distance", TREND)
    if len(away) < TREND or not _sure(history) or away[-1] < FAR or _gets_nearer(history):
        return None
    if _stuck(history) and _shrunk(history) is None:
        return None  # D has an easy game: it is G that does not play
    real, fake = (history.logged(f"accuracy/{kind}", TREND - 1) for kind in ("real", "fake"))
    found = (
        f"D is right on {real:.1%} of the reals and {fake:.1%} of the fakes, and samples stay {away[-1]:.2f} spreads "
        "from the data"
    )
    shrunk = _shrunk(history)
    return Symptom(found if shrunk is None else f"{found}; G's gradients have shrunk to {shrunk:.1g} of what they were")


def _sure(history: History) -> bool:
    rights = [history.logged(f"accuracy/{kind}", TREND - 1) for kind in ("real", "fake")]
    return all(right is not None and right >= SURE for right in rights)


def _shrunk(history: History) -> float | None:
    """What is left of G's largest gradient, where that is little."""
    now, largest = history.logged("gradient_norm/generator"), history.largest_gradient
    return now / largest if now is not None and largest > 0 and now < SHRUNK * largest else None


def _gets_nearer(history: History) -> bool:
    """In the last few grids, or in the second half of the run so far."""
    away = history.sampled("distance", len(history.grids))
    middle = away[max(len(away) // 2 - 2, 0) : len(away) // 2 + 3]
    return away[-1] < 0.8 * away[-TREND] or median(away[-5:]) < HARDLY * median(middle)


def swinging(history: History) -> Symptom | None:
    moved, away = history.sampled("change", TREND + 1), history.sampled("distance", TREND + 2)
    if len(away) <= TREND + 1 or median(moved) < RESTLESS or max(away) < FAR:
        return None
    travelled = sum(abs(after - before) for before, after in pairwise(away))
    returned = (travelled - abs(away[-1] - away[0])) / (len(away) - 1)
    if returned < BACK_AND_FORTH * fmean(away):
        return None
    return Symptom(
        f"samples of the same latents move by {min(moved):.2f} to {max(moved):.2f} spreads from grid to grid, and go "
        f"from {min(away):.2f} to {max(away):.2f} spreads from the data and back"
    )


def stalled(history: History) -> Symptom | None:
    """The last quarter is no better than the one before the middle, by any measure."""
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
    return Symptom(f"samples are no nearer to the data and no more varied than they were before step {since}")


def healthy(history: History) -> Symptom:
    real, fake = history.logged("accuracy/real") or 0.0, history.logged("accuracy/fake") or 0.0
    now = history.grids[-1]
    return Symptom(
        f"D is right on {real:.0%} of the reals and {fake:.0%} of the fakes; samples are "
        f"{now['samples/spread']:.0%} as varied as the data, and {now['samples/distance']:.2f} spreads from it"
    )
