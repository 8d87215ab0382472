"""What shows in a history that something is wrong: each a function of it, which gives figures in words, or None."""

from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis import measures
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.measures import ALIKE, BLIND, FAR, FEW, HARDLY, REPEATED, STEADY, in_words, rights

EXPLODED = 1e5  # norm of a gradient; those of healthy games stay far below 1,000
STILL = 0.2  # how far a sample moves between grids; BatchNorm's averages alone move it by 0.15
SHRUNK = 0.25  # of the largest gradient so far: G is told ever less
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
    if (
        not _stuck(history)
        or measures.is_fooled(history)
        or (measures.is_sure(history) and _shrunk(history) is not None)
    ):
        return None  # or G would learn if D taught it, or let it
    moved, away = history.sampled("change", history.trend - 1), history.sampled("distance", history.trend)
    first = history.grids[1]
    return Symptom(
        f"samples of the same latents move by {fmean(moved):.2f} spreads from grid to grid; they are {away[-1]:.2f} "
        f"spreads from the data (at first {first['samples/distance']:.2f}), and {measures.spread(history, 1)[-1]:.0%} "
        f"as varied (at first {first['samples/spread']:.0%})"
    )


def _stuck(history: History) -> bool:
    """Samples don't change, and are as bad as at the second grid: far away, or all alike.

    At the first one, of step 0, BatchNorm's averages are not yet those of any images.
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


def idle(history: History) -> Symptom | None:
    """Samples are bad and D hardly tells them from the data: it does not learn, and G can't learn from it."""
    accuracies = rights(history, history.trend - 1)
    if not history.has_trend or accuracies is None or not measures.is_fooled(history):
        return None
    hardly = history.sampled("distance", 1)[-1] > HARDLY * history.grids[1]["samples/distance"]
    excused = min(accuracies) > BLIND or not hardly
    bad = measures.lacking(history, ("distance",), excused)
    if not bad and not measures.lacking(history, ("spread", "variety", "classes", "duplicates"), excused):
        bad = measures.lacking(history, ("texture",), excused)  # a collapse changes it too
    if not bad or swinging(history) is not None:
        return None  # or it learns, and is overtaken each time
    return Symptom(f"{in_words(accuracies)}, though {' and '.join(bad)}")


def collapsed(history: History) -> Symptom | None:
    count = history.trend
    if not history.has_trend or _stuck(history) or _recovering(history):
        return None
    if idle(history) is not None or swinging(history) is not None:
        return None  # D would let G make anything; or few of the data now, and others at the next grid
    scores = [history.evaluated(name) for name in ("recall", "coverage")]
    known = [score for score in scores if score is not None]
    covered = f"; of the data {min(known):.0%} is covered by the last evaluation" if known else ""
    spread, classes, repeated = (history.sampled(name, count) for name in ("spread", "classes", "duplicates"))
    if repeated and min(repeated[-2:]) > REPEATED:
        return Symptom(f"{repeated[-1]:.0%} of the samples have a near-duplicate among the others{covered}")
    if max(spread) < ALIKE:
        return Symptom(f"samples differ from one another by {spread[-1]:.0%} of what the data's images do{covered}")
    if (variety := history.sampled("variety", count)) and max(variety) < FEW:
        return Symptom(f"samples lie at {variety[-1]:.0%} of the training images that the data's would lie at{covered}")
    if classes and max(classes) < ALIKE:
        return Symptom(f"samples fall to {classes[-1]:.0%} of the data's classes{covered}")
    return None


def _recovering(history: History) -> bool:
    """As the first images of a convolutional G do: they are all the same, and then less and less so."""
    spread, repeated = measures.spread(history, history.trend), history.sampled("duplicates", history.trend)
    return measures.rise(spread) > RECOVERING or (repeated != [] and measures.rise(repeated) < -3 * RECOVERING)


def memorised(history: History) -> Symptom | None:
    nearer, told = history.evaluated("nearer"), history.evaluated("logit_overfitting")
    if nearer is not None and nearer > NEARER_THAN_UNSEEN:
        return Symptom(f"{nearer:.0%} of the samples are nearer to a training image than 99 % of unseen ones are", True)
    if told is not None and told > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {told:.0%} of the time (honest: 50 %)", True)
    known, copies = history.grids[-1].get("discriminator/overfitting", 0.0), history.grids[-1]["samples/copies"]
    if known > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {known:.0%} of the time (honest: 50 %)")
    if copies > COPIES:
        return Symptom(
            f"{copies:.0%} of the samples are half as far from a training image as those are from each other"
        )
    return None


def outplayed(history: History) -> Symptom | None:
    away, accuracies = history.sampled("distance", history.trend), rights(history, history.trend - 1)
    if not history.has_trend or accuracies is None or not measures.is_sure(history):
        return None
    if away[-1] < FAR or measures.gets_nearer(history):
        return None
    shrunk = _shrunk(history)
    if _stuck(history) and shrunk is None:
        return None  # D has an easy game: it is G that does not play
    found = f"{in_words(accuracies, 1)}, and samples stay {away[-1]:.2f} spreads from the data"
    return Symptom(found if shrunk is None else f"{found}; G's gradients have shrunk to {shrunk:.1g} of what they were")


def _shrunk(history: History) -> float | None:
    """What is left of G's largest gradient, where that is little."""
    now, largest = history.logged("gradient_norm/generator"), history.largest_gradient
    return now / largest if now is not None and largest > 0 and now < SHRUNK * largest else None


def swinging(history: History) -> Symptom | None:
    count = history.trend + 2
    moved, away = history.sampled("change", count - 1), history.sampled("distance", count)
    if len(history.grids) <= count or median(moved) < RESTLESS or max(away) < FAR:
        return None
    if measures.back_and_forth(away) < BACK_AND_FORTH * fmean(away):
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
