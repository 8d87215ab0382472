"""The likely cause of numbers that are not finite, from a run's settings and its last finite metrics."""

from collections.abc import Mapping, Sequence

from gan_exp.diagnosis.remedies import slower, usual_lr
from gan_exp.diagnosis.settings import RunSettings
from gan_exp.errors import TrainingFault

LARGE_NORM = 1e3  # of a gradient; healthy runs stay below 100
DIVERGED = "training has diverged"  # part of the sentence in status.json, by which such a run is recognised
OLDER = "the game has diverged"  # in the same place, in runs of older versions


class Divergence(TrainingFault):
    """`step` is the first that was no longer finite; `remedies` are overrides to try."""

    def __init__(self, sentence: str, step: int, remedies: Sequence[str]) -> None:
        super().__init__(sentence, step, remedies)  # pickle needs them, in another process of a sweep
        self.step, self.remedies = step, tuple(remedies)

    def __str__(self) -> str:
        return str(self.args[0])


def describe_divergence(
    step: int,
    sign: str,
    broken: Sequence[str],
    last_good: int | None,
    settings: RunSettings,
    metrics: Mapping[str, float],
) -> Divergence:
    """The fault in one sentence: the sign, the last good checkpoint, the likely cause and the overrides to try."""
    where = f"; {' and '.join(broken)} hold{'s' * (len(broken) == 1)} such values" if broken else ""
    last = "none" if last_good is None else f"step {last_good}"
    cause, remedies = likely_cause(settings, metrics)
    return Divergence(
        f"step {step}: {sign}{where}: {DIVERGED} (last good checkpoint: {last}). "
        f"Likely cause: {cause}; try {' or '.join(remedies)}",
        step,
        remedies,
    )


def likely_cause(settings: RunSettings, metrics: Mapping[str, float]) -> tuple[str, tuple[str, ...]]:
    """The cause as part of a sentence, and the overrides to try, the likeliest first.

    `metrics` are the last finite ones by tag; empty if there are none.
    """
    for network, lr in (("discriminator", settings.discriminator_lr), ("generator", settings.generator_lr)):
        if lr > settings.large_lr:
            usual = f"{settings.usual_lr / 20:g} to {5 * settings.usual_lr:g}"
            return f"optimizer.{network}.lr={lr:g} is far above the usual range ({usual})", usual_lr(settings)
    penalty = next((value for tag, value in metrics.items() if tag.startswith("penalty/")), 0.0)
    if penalty > LARGE_NORM:
        key, strength = settings.strength or ("", 0.0)
        smaller = f"penalty.{key}={strength / 10:g}" if key else "penalty=none"
        return f"the penalty grew to {penalty:.3g}", (smaller, slower(settings))
    if settings.unbounded_loss and not settings.bounded:
        remedies = ("penalty=r1", "spectral_norm=true")
        return f"nothing bounds D's logits, and the loss {settings.loss} grows with them", remedies
    for network in ("discriminator", "generator"):
        norm = metrics.get(f"gradient_norm/{network}", 0.0)
        if norm > LARGE_NORM:
            return f"the {network}'s gradients had grown to a norm of {norm:.3g}", _calmer(settings)
    if settings.eps < 1e-12:
        return "the optimizer's eps is so small that updates divide by almost 0", ("optimizer.generator.eps=1e-8",)
    return "the learning rate is too large for these settings", _calmer(settings)


def _calmer(settings: RunSettings) -> tuple[str, ...]:
    return (slower(settings),) if settings.penalised else (slower(settings), "penalty=r1")
