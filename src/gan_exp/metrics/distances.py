"""Distances between two clouds of features, and the score of their class probabilities, all by torch-fidelity.

It is imported where it is used: with torchvision it takes a second.
"""

from typing import NamedTuple

from torch import Tensor

from gan_exp.metrics.checks import check, check_pair

KERNEL_SUBSETS = 100
KERNEL_SUBSET_SIZE = 1000
SCORE_SPLITS = 10


class Spread(NamedTuple):
    mean: float
    sd: float


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of Gaussians fitted to features [N, D] (Heusel et al. 2017, "GANs
    Trained by a Two Time-Scale Update Rule", equation 6).

    0 is the least. It is biased upwards, the more so the fewer samples: compare at equal numbers only.
    """
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    check_pair(real, fake, least=2)
    # float64: the product of nearly singular covariances loses half of its digits.
    first, second = (fid_features_to_statistics(features.cpu().double()) for features in (real, fake))
    return float(fid_statistics_to_metric(first, second, False)[KEY_METRIC_FID])


def kernel_distance(real: Tensor, fake: Tensor, seed: int, subsets: int = KERNEL_SUBSETS) -> Spread:
    """Squared maximum mean discrepancy, kernel (x.y / D + 1)^3 (Binkowski et al. 2018, "Demystifying MMD GANs").

    The mean and standard deviation over `subsets` of 1,000 samples each (fewer where there are no 1,000), drawn by
    `seed`. Unbiased: for samples of the same distribution it is about 0, and may be below.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    check_pair(real, fake, least=2)
    found = kid_features_to_metric(
        fake.cpu().double(),
        real.cpu().double(),
        kid_subsets=subsets,
        kid_subset_size=min(KERNEL_SUBSET_SIZE, len(real), len(fake)),
        rng_seed=seed,
        verbose=False,
    )
    return Spread(found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD])


def class_score(logits: Tensor, seed: int) -> Spread:
    """exp E KL(p(y|x) || p(y)) from logits [N, K] (Salimans et al. 2016, "Improved Techniques for Training GANs").

    Between 1 and K: each sample surely of one class, and all classes equally often. The mean and standard deviation
    over ten parts, in an order drawn by `seed`.
    """
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

    check("logits", logits, least=SCORE_SPLITS)
    found = isc_features_to_metric(logits.cpu(), SCORE_SPLITS, shuffle=True, rng_seed=seed)
    return Spread(found[KEY_METRIC_ISC_MEAN], found[KEY_METRIC_ISC_STD])
