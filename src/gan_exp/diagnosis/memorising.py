"""Whether D learns the training images themselves, or G copies them.

D's overfitting is what Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", describe: its
logits on training images move away from those on images that it was not trained on, while it gets surer of both kinds.
"""

from gan_exp.diagnosis.detectors import Finding
from gan_exp.diagnosis.history import History
from gan_exp.diagnosis.measures import accuracies_of, accuracy_words, is_sure, ranked_above_unseen, ranking_words

# How often D scores a training image above an unseen one; 0.5 without memorising.
MEMORISED = 0.8
MEMORISED_BY_A_SURE_D = 0.7  # that is right on nearly all images, which it may be by knowing them
FORGOTTEN = 0.6  # up to which a verdict is withdrawn
COPIES = 0.5  # share of samples that are half as far from a training image as those are from each other
NEARER_THAN_UNSEEN = 0.2  # share of samples; 0.01 for images that are not memorised
# Unseen images, below which the scores of one evaluation are chance: the nearest of n unseen images, of which `nearer`
# says how many samples are nearer, lies beyond a fifth of samples that copy nothing with a probability of 0.8 ** n.
LEAST_UNSEEN = 20


def memorising(history: History) -> Finding | None:
    return _by_evaluation(history) or _by_logits(history) or _by_copies(history)


def _by_evaluation(history: History) -> Finding | None:
    if history.unseen is not None and history.unseen < LEAST_UNSEEN:
        return None
    nearer, ranked = history.evaluated("nearer"), history.evaluated("logit_overfitting")
    if nearer is not None and nearer > NEARER_THAN_UNSEEN:
        return Finding(f"{nearer:.0%} of the samples are nearer to a training image than 99 % of unseen ones are", True)
    if ranked is not None and ranked > MEMORISED:
        return Finding(f"D {ranking_words(ranked)}", True)
    return None


def _by_logits(history: History) -> Finding | None:
    ranked = ranked_above_unseen(history)
    if ranked is None or ranked <= FORGOTTEN:
        return None
    accuracies = accuracies_of(history, history.trend - 1)
    sure = accuracies is not None and is_sure(history)
    right = f"{accuracy_words(accuracies)}, and " if accuracies is not None and sure else "D "
    return Finding(f"{right}{ranking_words(ranked)}", begins=ranked > (MEMORISED_BY_A_SURE_D if sure else MEMORISED))


def _by_copies(history: History) -> Finding | None:
    copies = history.grids[-1]["samples/copies"] if history.grids else 0.0  # none in runs of old versions
    if copies <= COPIES:
        return None
    return Finding(f"{copies:.0%} of the samples are half as far from a training image as those are from each other")
