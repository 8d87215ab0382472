"""The troubles that the doctor knows, the gravest first: their detectors, meanings and remedies."""

from collections.abc import Callable
from typing import NamedTuple

from gan_exp.diagnosis import detectors, remedies
from gan_exp.diagnosis.detectors import Finding
from gan_exp.diagnosis.divergence import likely_cause
from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.memorising import memorising
from gan_exp.diagnosis.settings import RunSettings


class Trouble(NamedTuple):
    name: str
    meaning: str
    detect: Callable[[History], Finding | None]
    remedies: Callable[[RunSettings], tuple[str, ...]]
    first_step: int = 0  # from which on it counts, if healthy runs show it before


DIVERGING = Trouble(
    "diverged",
    "Numbers have grown beyond all bounds or are not finite: the updates were too large.",
    detectors.diverged,
    lambda settings: likely_cause(settings, {})[1],
)
TROUBLES = (
    DIVERGING,
    Trouble(
        "generator not learning",
        "G's updates hardly change its samples: most likely its learning rate is too small.",
        detectors.generator_not_learning,
        remedies.generator_not_learning,
    ),
    Trouble(
        "discriminator not learning",
        "D hardly distinguishes bad samples from the data, so G learns nothing: D's rate is too low, or G outruns it.",
        detectors.discriminator_not_learning,
        remedies.discriminator_not_learning,
    ),
    Trouble(
        "generator collapse",
        "G makes the same few images whatever the latents: they fool D for now, and the rest of the data is lost.",
        detectors.generator_collapse,
        remedies.generator_collapse,
        first_step=900,
    ),
    Trouble(
        "oscillation",
        "G and D chase each other: each update undoes what an earlier one had learned.",
        detectors.oscillation,
        remedies.oscillation,
    ),
    Trouble(
        "discriminator wins",
        "D distinguishes fakes from reals so surely that G learns nothing from it: weaken D, or strengthen G.",
        detectors.discriminator_wins,
        remedies.discriminator_wins,
    ),
    Trouble(
        "memorising",
        "D overfits: it learns the training images themselves, which are too few for so many steps.",
        memorising,
        remedies.memorising,
    ),
    Trouble(
        "stalled",
        "Samples have stopped getting better: stop here, or train anew with an override that may lead further.",
        detectors.stalled,
        remedies.stalled,
    ),
)
HEALTHY = "healthy"
UNCLEAR = "unclear"
EARLY = "too early to say"
MEANINGS = {
    HEALTHY: "Samples are good or get clearly better, and no trouble shows: continue.",
    UNCLEAR: "No known trouble shows, but a requirement of healthy is not met: look at the samples, or train on.",
    EARLY: "There are not enough records yet.",
}
