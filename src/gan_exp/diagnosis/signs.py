"""The signs that a doctor looks for, the gravest first: what shows them, what they mean, and what to try."""

from collections.abc import Callable
from typing import NamedTuple

from gan_exp.diagnosis import remedies, symptoms
from gan_exp.diagnosis.divergence import likely_cause
from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.symptoms import Symptom


class Sign(NamedTuple):
    name: str
    meaning: str
    look: Callable[[History], Symptom | None]
    remedies: Callable[[Facts], tuple[str, ...]]
    first_step: int = 0  # from which on it counts, where healthy games show it before


DIVERGING = Sign(
    "diverged",
    "The numbers have grown beyond all bounds, or are none any more: the updates were too large for this game.",
    symptoms.exploding,
    lambda facts: likely_cause(facts, {})[1],
)
SIGNS = (
    DIVERGING,
    Sign(
        "generator not learning",
        "G's updates change next to nothing in what it makes: most likely its learning rate is too small.",
        symptoms.standing_still,
        remedies.starving,
    ),
    Sign(
        "discriminator not learning",
        "D hardly tells bad samples from the data, so G learns nothing from it: its rate is too low, or G outruns it.",
        symptoms.idle,
        remedies.idle,
    ),
    Sign(
        "generator collapse",
        "G makes the same few images whatever the latents: they fool D for now, and the rest of the data is lost.",
        symptoms.collapsed,
        remedies.collapsed,
        first_step=900,
    ),
    Sign(
        "oscillation",
        "The two chase each other in circles: each update undoes what an earlier one had learned.",
        symptoms.swinging,
        remedies.swinging,
    ),
    Sign(
        "discriminator wins",
        "D tells fakes from reals so surely that G learns nothing from it: hold D back, or give G more to go by.",
        symptoms.outplayed,
        remedies.outplayed,
    ),
    Sign(
        "memorising",
        "D learns the training images themselves, not what they have in common: they are too few for so many steps.",
        symptoms.memorised,
        remedies.remembered,
    ),
    Sign(
        "stalled",
        "Samples have stopped getting better: you can stop here, or train anew with what may lead further.",
        symptoms.stalled,
        remedies.ripe,
    ),
)
HEALTHY = "healthy"
UNCLEAR = "unclear"
EARLY = "too early to say"
MEANINGS = {
    HEALTHY: "Samples are good or get clearly better, and no sign of trouble shows: go on.",
    UNCLEAR: "No known trouble shows, but nor does what would make it healthy: look at the samples, or train on.",
    EARLY: "There is not enough to judge by yet.",
}
