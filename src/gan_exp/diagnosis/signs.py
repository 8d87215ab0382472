"""The signs that a doctor looks for, the gravest first: each is a function of the history, and what to say and try.

What they rest on means the same for every loss: how samples lie among the data, how often D is right, how gradients have
grown. Losses only come into the words.
"""

from collections.abc import Callable
from typing import NamedTuple

from gan_exp.diagnosis import remedies
from gan_exp.diagnosis.divergence import LARGE_NORM, likely_cause
from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History

# Distances are in mean distances of the data's images from one another; spread, variety and classes are 1 for the data.
STILL = 0.003  # how far a sample moves from one grid to the next where G stands still
FAR = 0.05  # samples that are so much farther from the data than its own images are no good ones yet
BETTER = 0.05  # a change between grids that is more than chance
SURE = 0.95  # D's accuracy on reals and on fakes, each, from which on it leaves G little to learn
CERTAIN = 0.995  # the same where nothing is known of samples
ALIKE = 0.4  # spread, variety or classes
DUPLICATES = 0.5  # share of samples
COPIES = 0.3  # share of samples
BY_HEART = 0.8  # how often D puts a training image above a held-out one
RESTLESS = 0.35  # how far a sample moves from grid to grid in a game that gets nowhere
TREND = 3  # grids over which a measure is seen to rise or fall
RECENT = 6
LEAST_GRIDS = 16  # before it is said that a run has stalled


class Symptom(NamedTuple):
    evidence: str
    sure: bool = False  # of thousands of samples: it need not be seen twice


class Sign(NamedTuple):
    name: str
    meaning: str
    look: Callable[[History, Facts], Symptom | None]
    remedies: Callable[[Facts], tuple[str, ...]]


def exploding(history: History, facts: Facts) -> Symptom | None:
    norms = {name: history.logged(f"gradient_norm/{name}") or 0.0 for name in ("generator", "discriminator")}
    name, norm = max(norms.items(), key=lambda item: item[1])
    if norm <= LARGE_NORM:
        return None
    return Symptom(f"the {name}'s gradients have a norm of {norm:.2g} (healthy games stay below 100)")


def standing_still(history: History, facts: Facts) -> Symptom | None:
    moved, away = history.sampled("change", 1), history.sampled("distance", 1)
    if not moved or moved[-1] > STILL or (away[-1] < FAR and not _poor(history)):
        return None
    return Symptom(f"samples of the same latents move by {moved[-1]:.2%} of the data's spread from grid to grid")


def collapsed(history: History, facts: Facts) -> Symptom | None:
    classes = history.evaluated("modes", "recall", "coverage")
    poor = _poor(history)
    if poor is None:
        return None
    return Symptom(poor)


def _poor(history: History) -> str | None:
    """What is far below the data's, and does not rise."""
    for name, what in (
        ("variety", "samples lie next to {:.0%} as many training images as the data's own do"),
        ("spread", "samples differ from one another by {:.0%} of what the data's do"),
        ("classes", "samples have {:.0%} of the data's classes (by the nearest training image)"),
    ):
        values = history.sampled(name, TREND)
        if values and values[-1] < ALIKE and values[-1] < min(values) + BETTER:
            return what.format(values[-1])
    duplicates = history.sampled("duplicates", TREND)
    if duplicates and min(duplicates[-2:]) > DUPLICATES:
        return f"{duplicates[-1]:.0%} of the samples have a near-duplicate among {'them'}"
    return None


def memorised(history: History, facts: Facts) -> Symptom | None:
    nearer, told = history.evaluated("nearer"), history.evaluated("logit_overfitting")
    if nearer is not None and nearer > COPIES:
        return Symptom(f"{nearer:.0%} of the samples are nearer to a training image than 99 % of unseen ones are", True)
    if told is not None and told > BY_HEART:
        return Symptom(f"D puts a training image above an unseen one {told:.0%} of the time", True)
    copies = history.sampled("copies", 1)
    if copies and copies[-1] > COPIES:
        return Symptom(f"{copies[-1]:.0%} of the samples are nearer to a training image than 99 % of its like are")
    known = history.grids[-1].get("discriminator/overfitting") if history.grids else None
    if known is not None and known > BY_HEART:
        return Symptom(f"D puts a training image above one that it never saw {known:.0%} of the time (50 % is honest)")
    return None


def outplayed(history: History, facts: Facts) -> Symptom | None:
    real, fake = history.logged("accuracy/real"), history.logged("accuracy/fake")
    if real is None or fake is None:
        return None
    distances = history.sampled("distance", TREND)
    if min(real, fake) < (SURE if distances else CERTAIN):
        return None
    if distances and (distances[-1] < FAR or distances[-1] < max(distances) - BETTER):
        return None
    away = f", and samples stay {distances[-1]:.2f} spreads from the data" if distances else ""
    return Symptom(f"D is right on {real:.1%} of the reals and {fake:.1%} of the fakes{away}{_losses(history)}")


def _losses(history: History) -> str:
    """How G's loss and gradients went, where that is a sign."""
    first, last = history.logs[0], history.logs[-1]
    grown = last["loss/generator"] - first["loss/generator"]
    words = f"; G's loss went from {first['loss/generator']:.3g} to {last['loss/generator']:.3g}" if grown > 1 else ""
    norms = [log["gradient_norm/generator"] for log in history.logs if "gradient_norm/generator" in log]
    if norms and norms[-1] < 0.01 * max(norms):
        words += f"; G's gradients have shrunk from {max(norms):.2g} to {norms[-1]:.2g}"
    return words


def swinging(history: History, facts: Facts) -> Symptom | None:
    moved, away = history.sampled("change", RECENT), history.sampled("distance", RECENT)
    if len(moved) < RECENT or min(moved) < RESTLESS or away[-1] < min(away) + BETTER:
        return None
    return Symptom(
        f"samples of the same latents move by {min(moved):.0%} to {max(moved):.0%} of the data's spread from grid to "
        f"grid, and get no better"
    )


def stalled(history: History, facts: Facts) -> Symptom | None:
    return None


def healthy(history: History, facts: Facts) -> Symptom:
    return Symptom("")


def none(facts: Facts) -> tuple[str, ...]:
    return ()


DIVERGING = Sign(
    "diverged",
    "The numbers have grown beyond all bounds, or are none any more: the updates were too large for this game.",
    exploding,
    lambda facts: likely_cause(facts, {})[1],
)
SIGNS = (
    DIVERGING,
    Sign(
        "generator not learning",
        "G's updates change next to nothing in what it makes: its learning rate or its gradients are too small.",
        standing_still,
        remedies.starving,
    ),
    Sign(
        "generator collapse",
        "G makes the same few images whatever the latents: they fool D for the moment, and the rest of the data is lost.",
        collapsed,
        remedies.collapsed,
    ),
    Sign(
        "memorising",
        "The training images themselves are being learned, not what they have in common: there are too few of them for "
        "so many steps.",
        memorised,
        remedies.remembered,
    ),
    Sign(
        "discriminator wins",
        "D tells fakes from reals so surely that G learns nothing from it any more: hold D back, or give G more to go by.",
        outplayed,
        remedies.outplayed,
    ),
    Sign(
        "oscillation",
        "The two chase each other in circles: each update undoes what the other one learned.",
        swinging,
        remedies.swinging,
    ),
    Sign(
        "stalled",
        "Samples have stopped getting better: you can stop here, or go on with a smaller learning rate.",
        stalled,
        remedies.ripe,
    ),
)
HEALTHY = Sign(
    "healthy", "The two networks keep each other busy, and samples are as varied as the data.", healthy, none
)
