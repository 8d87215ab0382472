"""What must be there for a run to be called healthy: it is earned, not what is left when no sign of trouble shows."""

from statistics import fmean

from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.measures import in_words, lacking, rights

FIRST_STEP = 500  # before it the networks are hardly more than their first weights
FIRST_GRIDS = 2  # with the one of step 0
LARGE_NORM = 100  # of a network's gradients, the mean since the last grid; of usual runs it is 1 to 20
WORSE_THAN_CHANCE = 0.4  # D's accuracy on both together


def too_early(history: History) -> list[str]:
    """What has to come before anything is said."""
    missing = []
    if history.step < FIRST_STEP:
        missing.append(f"{FIRST_STEP - history.step} more steps")
    if len(history.grids) < FIRST_GRIDS:
        missing.append("a grid of samples after step 0 (sample_every_steps)")
    return missing


def unhealthy(history: History, facts: Facts) -> list[str]:
    """Why the run can't be called healthy.

    Nothing where samples are good or clearly get better, D isn't misled, gradients are tame, and the settings can last.
    """
    return [*lacking(history), *_of_the_discriminator(history), *_of_the_gradients(history), *_of_the_settings(facts)]


def _of_the_discriminator(history: History) -> list[str]:
    accuracies = rights(history)
    if accuracies is None:
        return ["nothing of D has been logged yet (log_every_steps)"]
    if fmean(accuracies) < WORSE_THAN_CHANCE:
        return [f"{in_words(accuracies)}, less often than by chance"]
    return []


def _of_the_gradients(history: History) -> list[str]:
    norms = {network: history.logged(f"gradient_norm/{network}") or 0.0 for network in ("generator", "discriminator")}
    return [
        f"the {network}'s gradients have a norm of {norm:.3g} (good: up to {LARGE_NORM:g})"
        for network, norm in norms.items()
        if norm > LARGE_NORM
    ]


def _of_the_settings(facts: Facts) -> list[str]:
    """Samples may be good for a while all the same."""
    rates = {"generator": facts.generator_lr, "discriminator": facts.discriminator_lr}
    found = [
        f"optimizer.{network}.lr={rate:g} is far above what GANs train with (up to {5 * facts.usual_lr:g})"
        for network, rate in rates.items()
        if rate > facts.large_lr
    ]
    if facts.unbounded_critic:
        found.append("nothing bounds the critic, so its logits may grow without end (penalty=wgan_gp would)")
    return found


def evidence(history: History) -> str:
    """How the run stands in figures."""
    accuracies, now = rights(history), history.grids[-1]
    spread, away = now["samples/spread"], now["samples/distance"]
    of_samples = f"samples are {spread:.0%} as varied as the data, and {away:.2f} spreads from it"
    return of_samples if accuracies is None else f"{in_words(accuracies)}; {of_samples}"
