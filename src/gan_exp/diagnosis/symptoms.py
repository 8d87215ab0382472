"""What shows in a history that something is wrong: each a function of it, which gives figures in words, or None.

What they rest on means the same for every loss: how samples lie among the data, how often D is right, how far gradients
have grown or shrunk within the run. Losses only come into the words.
"""

from statistics import fmean, median
from typing import NamedTuple

from gan_exp.diagnosis.divergence import LARGE_NORM
from gan_exp.diagnosis.history import History, Record

# Distances are in spreads: mean distances of the data's images from one another. Spread and classes are 1 for the data.
FAR = 0.2  # from the data, beyond what the data's images are from each other: no good samples yet
NEARER = 0.7  # of the distance at an earlier time: G has got somewhere since
STILL = 0.15  # how far a sample moves between grids; BatchNorm's averages alone move it by 0.1
STEADY = 0.03  # a change of a measure between grids that means nothing
SURE = 0.95  # D's accuracy on reals and on fakes, each, from which on it leaves G little to learn
CERTAIN = 0.995  # the same where nothing is known of samples
SHRUNK = 0.02  # of the largest gradient so far: G is told next to nothing
ALIKE = 0.4  # spread or classes
REPEATED = 0.5  # share of samples with a near-duplicate
BY_HEART = 0.8  # how often D puts a training image above a held-out one
COPIES = 0.5  # share of samples that are half as far from a training image as those are from each other
NEARER_THAN_UNSEEN = 0.2  # share of samples, where 0.01 is honest
RESTLESS = 0.3  # how far a sample moves between any two grids of a game that gets nowhere
ADRIFT = 0.1  # from the data
TREND = 4  # grids over which a measure is seen to rise or fall
LEAST_GRIDS = 16  # before it is said that a run has stalled
GAIN = 0.1  # of the distance, from one quarter of a run to the one after the next


class Symptom(NamedTuple):
    evidence: str
    sure: bool = False  # of thousands of samples: it need not be seen twice


def exploding(history: History) -> Symptom | None:
    norms = {name: history.logged(f"gradient_norm/{name}") or 0.0 for name in ("generator", "discriminator")}
    name, norm = max(norms.items(), key=lambda item: item[1])
    if norm <= LARGE_NORM:
        return None
    return Symptom(f"the {name}'s gradients have a norm of {norm:.2g} (healthy games stay below 100)")


def standing_still(history: History) -> Symptom | None:
    away, moved = history.sampled("distance", TREND), history.sampled("change", TREND - 1)
    if len(away) < TREND or median(moved) > STILL or max(away) - min(away) > STEADY or not _far_as_ever(history):
        return None
    if _sure(history, SURE) and _shrunk(history) is not None:
        return None  # G would learn if D let it
    return Symptom(
        f"samples have been {away[-1]:.2f} spreads from the data for {TREND} grids (at first {_begun(history):.2f}), "
        f"and those of the same latents move by {moved[-1]:.2f} from grid to grid"
    )


def _begun(history: History) -> float:
    return history.grids[0]["samples/distance"]


def _far_as_ever(history: History) -> bool:
    """Samples are not much nearer to the data than at the start."""
    now = history.grids[-1]["samples/distance"]
    return now > FAR and now > NEARER * _begun(history)


def collapsed(history: History) -> Symptom | None:
    scores = [history.evaluated(name) for name in ("recall", "coverage")]
    known = [score for score in scores if score is not None]
    if not history.grids or _far_as_ever(history):
        return None
    spread, classes, repeated = (history.sampled(name, TREND) for name in ("spread", "classes", "duplicates"))
    if spread[-1] > min(spread) + STEADY and repeated[-1] < max(repeated):
        return None  # it is on its way out
    covered = f"; of the data {min(known):.0%} is covered by the last evaluation" if known else ""
    if min(repeated[-2:]) > REPEATED:
        return Symptom(f"{repeated[-1]:.0%} of the samples have a near-duplicate among 128{covered}")
    if median(history.sampled("change", TREND)) > RESTLESS:
        return None  # here today, there tomorrow
    if spread[-1] < ALIKE:
        return Symptom(f"samples differ from one another by {spread[-1]:.0%} of what the data's images do{covered}")
    if classes and max(classes[-2:]) < ALIKE:
        return Symptom(f"samples fall to {classes[-1]:.0%} of the data's classes{covered}")
    return None


def memorised(history: History) -> Symptom | None:
    nearer, told = history.evaluated("nearer"), history.evaluated("logit_overfitting")
    if nearer is not None and nearer > NEARER_THAN_UNSEEN:
        return Symptom(f"{nearer:.0%} of the samples are nearer to a training image than 99 % of unseen ones are", True)
    if told is not None and told > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {told:.0%} of the time (honest: 50 %)", True)
    if not history.grids:
        return None
    known = history.grids[-1].get("discriminator/overfitting", 0.0)
    if known > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {known:.0%} of the time (honest: 50 %)")
    copies = history.sampled("copies", 1)[-1]
    if copies > COPIES:
        return Symptom(
            f"{copies:.0%} of the samples are half as far from a training image as those are from each other"
        )
    return None


def outplayed(history: History) -> Symptom | None:
    away = history.sampled("distance", 1)
    if not _sure(history, SURE if away else CERTAIN) or (away and (away[-1] < FAR or _gets_nearer(history))):
        return None
    real, fake = history.logged("accuracy/real"), history.logged("accuracy/fake")
    found = f"D is right on {real:.1%} of the reals and {fake:.1%} of the fakes"
    if away:
        found += f", and samples stay {away[-1]:.2f} spreads from the data"
    shrunk = _shrunk(history)
    return Symptom(found if shrunk is None else f"{found}; G's gradients have shrunk to {shrunk:.1g} of what they were")


def _sure(history: History, bound: float) -> bool:
    rights = [history.logged(f"accuracy/{kind}") for kind in ("real", "fake")]
    return all(right is not None and right >= bound for right in rights)


def _shrunk(history: History) -> float | None:
    """What is left of G's largest gradient, where that is next to nothing."""
    now, largest = history.logged("gradient_norm/generator"), history.largest_gradient
    return now / largest if now is not None and largest > 0 and now < SHRUNK * largest else None


def _gets_nearer(history: History) -> bool:
    """In the second half of the grids so far."""
    half = len(history.grids) // 2
    before = fmean(grid["samples/distance"] for grid in history.grids[max(half - 1, 0) : half + 2])
    return fmean(history.sampled("distance", 3)) < NEARER * before


def swinging(history: History) -> Symptom | None:
    moved, away = history.sampled("change", TREND + 1), history.sampled("distance", TREND)
    if len(moved) <= TREND or median(moved) < RESTLESS or fmean(away) < ADRIFT or _gets_nearer(history):
        return None
    return Symptom(
        f"samples of the same latents move by {min(moved):.2f} to {max(moved):.2f} spreads from grid to grid, and come "
        f"no nearer to the data than {min(away):.2f}"
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
    gains = [mean(now, name) - mean(before, name) for name in ("spread", "variety", "classes")]
    if was - away > GAIN * abs(was) or max(gains) > STEADY:
        return None
    since = int(before[-1]["step"])
    return Symptom(f"samples are no nearer to the data and no more varied than they were before step {since}")


def healthy(history: History) -> Symptom:
    real, fake = history.logged("accuracy/real") or 0.0, history.logged("accuracy/fake") or 0.0
    found = f"D is right on {real:.0%} of the reals and {fake:.0%} of the fakes"
    if history.grids:
        now = history.grids[-1]
        spread, away = now["samples/spread"], now["samples/distance"]
        found += f"; samples are {spread:.0%} as varied as the data, and {away:.2f} spreads from it"
    return Symptom(found)
