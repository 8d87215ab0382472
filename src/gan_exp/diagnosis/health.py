"""What must be there for a run to be called healthy: it is earned, not what is left when no sign of trouble shows."""

from statistics import fmean

from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.measures import BLIND, in_words, lacking, rights

FIRST_STEP = 500  # before it the networks are hardly more than their first weights
FIRST_GRIDS = 2  # with the one of step 0
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
    """Why the run can't be called healthy: nothing where samples are good or clearly get better, and D isn't misled."""
    accuracies = rights(history)
    found = lacking(history)
    if accuracies is None:
        found.append("nothing of D has been logged yet (log_every_steps)")
    elif min(accuracies) <= BLIND:
        found.append(f"{in_words(accuracies)}, and sees no difference")
    elif fmean(accuracies) < WORSE_THAN_CHANCE:
        found.append(f"{in_words(accuracies)}, less often than by chance")
    if facts.loss == "Wasserstein" and not facts.bounded:
        found.append("nothing bounds the critic, so its logits may grow without end (penalty=wgan_gp would)")
    return found


def evidence(history: History) -> str:
    """How the run stands in figures."""
    accuracies, now = rights(history), history.grids[-1]
    spread, away = now["samples/spread"], now["samples/distance"]
    of_samples = f"samples are {spread:.0%} as varied as the data, and {away:.2f} spreads from it"
    return of_samples if accuracies is None else f"{in_words(accuracies)}; {of_samples}"
