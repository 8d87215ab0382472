"""Why a game is no longer finite, as far as its configuration and its last healthy numbers tell."""

from collections.abc import Mapping, Sequence

from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.remedies import slower, usual_lr
from gan_exp.errors import TrainingFault

LARGE_NORM = 1e3  # of a gradient; healthy games stay below 100
UNBOUNDED = ("Hinge", "LeastSquares", "Wasserstein", "RelativisticPairing")  # with D's logits
DIVERGED = "the game has diverged"  # by which the fault's sentence is known, also that of an older version


class Divergence(TrainingFault):
    """`step` is the first that was no longer finite."""

    def __init__(self, sentence: str, step: int) -> None:
        super().__init__(sentence, step)  # what pickle makes it from again, in another process of a sweep
        self.step = step

    def __str__(self) -> str:
        return str(self.args[0])


def describe_divergence(
    step: int, sign: str, broken: Sequence[str], last_good: int | None, facts: Facts, metrics: Mapping[str, float]
) -> Divergence:
    """The fault in one sentence: where it showed, what to go back to, why, and what to try."""
    where = f"; {' and '.join(broken)} hold{'s' * (len(broken) == 1)} such values" if broken else ""
    last = "none" if last_good is None else f"step {last_good}"
    cause, remedies = likely_cause(facts, metrics)
    return Divergence(
        f"step {step}: {sign}{where}: {DIVERGED} (last good checkpoint: {last}). "
        f"Likely cause: {cause}; try {' or '.join(remedies)}",
        step,
    )


def likely_cause(facts: Facts, metrics: Mapping[str, float]) -> tuple[str, tuple[str, ...]]:
    """The cause as part of a sentence, and the overrides to try, the likeliest first.

    `metrics` are the last finite ones by tag, empty where there are none.
    """
    for network, lr in (("discriminator", facts.discriminator_lr), ("generator", facts.generator_lr)):
        if lr > facts.large_lr:
            usual = f"{facts.usual_lr / 20:g} to {5 * facts.usual_lr:g}"
            return f"optimizer.{network}.lr={lr:g} is far above what GANs train with ({usual})", usual_lr(facts)
    penalty = next((value for tag, value in metrics.items() if tag.startswith("penalty/")), 0.0)
    if penalty > LARGE_NORM:
        key, strength = facts.strength or ("", 0.0)
        smaller = f"penalty.{key}={strength / 10:g}" if key else "penalty=none"
        return f"the penalty grew to {penalty:.3g}", (smaller, slower(facts))
    if facts.loss in UNBOUNDED and not facts.bounded:
        remedies = ("penalty=r1", "spectral_norm=true")
        return f"nothing bounds D's logits, and the loss {facts.loss} grows with them", remedies
    for network in ("discriminator", "generator"):
        norm = metrics.get(f"gradient_norm/{network}", 0.0)
        if norm > LARGE_NORM:
            return f"the {network}'s gradients had grown to a norm of {norm:.3g}", _calmer(facts)
    if facts.eps < 1e-12:
        return "the optimizer's eps is so small that it divides by nothing", ("optimizer.generator.eps=1e-8",)
    return "the learning rate is too large for this game", _calmer(facts)


def _calmer(facts: Facts) -> tuple[str, ...]:
    return (slower(facts),) if facts.penalty else (slower(facts), "penalty=r1")
