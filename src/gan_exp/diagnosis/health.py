"""The requirements of a healthy run, which are more than the absence of known troubles."""

from statistics import fmean

from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.measures import (
    FAR,
    SURE,
    accuracies_of,
    accuracy_words,
    lacking,
    ranked_above_unseen,
    ranking_words,
)
from gan_exp.diagnosis.settings import RunSettings
from gan_exp.runtime.words import plural

FIRST_STEP = 500  # before it the networks are close to their initial weights
FIRST_GRIDS = 2  # with the one of step 0
LARGE_NORM = 100  # of a network's gradients, the mean since the last grid; in usual runs it is 1 to 20
WORSE_THAN_CHANCE = 0.4  # D's accuracy on both together


def too_early(history: History) -> list[str]:
    """The records that are still missing before the first verdict."""
    missing = []
    if history.step < FIRST_STEP:
        missing.append(plural(FIRST_STEP - history.step, "more step"))
    if len(history.grids) < FIRST_GRIDS:
        missing.append("a grid of samples after step 0 (sample_every_steps)")
    return missing


def unhealthy(history: History, settings: RunSettings) -> list[str]:
    """The requirements of a healthy run that are not met.

    Samples are good or clearly get better, D is better than chance, gradients are small, and the settings can last.
    """
    return [
        *lacking(history),
        *_of_discriminator(history),
        *_of_gradients(history),
        *_of_settings(settings),
    ]


def _of_discriminator(history: History) -> list[str]:
    accuracies = accuracies_of(history)
    if accuracies is None:
        return ["D's accuracy has not been logged yet (log_every_steps)"]
    if fmean(accuracies) < WORSE_THAN_CHANCE:
        return [f"{accuracy_words(accuracies)}, less often than by chance"]
    return []


def _of_gradients(history: History) -> list[str]:
    norms = {network: history.logged(f"gradient_norm/{network}") or 0.0 for network in ("generator", "discriminator")}
    return [
        f"the {network}'s gradients have a norm of {norm:.3g} (good: up to {LARGE_NORM:g})"
        for network, norm in norms.items()
        if norm > LARGE_NORM
    ]


def _of_settings(settings: RunSettings) -> list[str]:
    """Settings that can't last, though samples may be good for a while."""
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    found = [
        f"optimizer.{network}.lr={rate:g} is far above the usual range (up to {5 * settings.usual_lr:g})"
        for network, rate in rates.items()
        if rate > settings.large_lr
    ]
    if settings.unbounded_critic:
        found.append("nothing bounds the critic, so its logits may grow without limit (penalty=wgan_gp would bound it)")
    return found


def summary(history: History) -> str:
    """The state of the run in figures. That D is right on nearly all images is no sign of health."""
    accuracies, now = accuracies_of(history), history.grids[-1]
    spread, away = now["samples/spread"], now["samples/distance"]
    of_samples = f"samples are {spread:.0%} as varied as the data, and {away:z.2f} spreads from it (good: up to {FAR})"
    if accuracies is None:
        return of_samples
    if min(accuracies) < SURE:
        return f"{accuracy_words(accuracies)}; {of_samples}"
    ranked = ranked_above_unseen(history)
    known = "" if ranked is None else f", and {ranking_words(ranked)}"
    return (
        f"{of_samples}; but {accuracy_words(accuracies)}{known}: it sees flaws that these measures don't, or overfits"
    )
