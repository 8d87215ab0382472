"""Which modes of the data the samples cover, by the protocol of the mode-coverage literature."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.metrics.checks import check

HIGH_QUALITY_SIGMAS = 3.0


class MixtureCoverage(NamedTuple):
    modes: int  # that hold a high-quality sample
    high_quality: float  # the part of the samples within three sigmas of the nearest centre
    kl: float


def cover_mixture(points: Tensor, centers: Tensor, sigma: float) -> MixtureCoverage:
    """How points [N, D] cover Gaussians of equal weight about `centers` [K, D].

    A mode counts when a high-quality sample falls to it (Srivastava et al. 2017, "VEEGAN"). The KL is that of the
    samples' distribution over modes, each going to the nearest, from the uniform one (Lin et al. 2018, "PacGAN").
    """
    check("points", points, least=1)
    distances, nearest = torch.cdist(
        points.double(), centers.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).min(dim=1)
    good = distances <= HIGH_QUALITY_SIGMAS * sigma
    return MixtureCoverage(
        modes=len(nearest[good].unique()),
        high_quality=good.double().mean().item(),
        kl=kl_divergence(count_labels(nearest, len(centers)), torch.ones(len(centers))),
    )


class LabelCoverage(NamedTuple):
    modes: int  # labels that occur
    kl: float


def cover_labels(labels: Tensor, expected: Tensor) -> LabelCoverage:
    """How the labels [N] that a classifier gave to samples cover those with `expected` weights [K] (of any sum).

    The KL is that of the samples' distribution from the expected one (Metz et al. 2017, "Unrolled GANs").
    """
    counts = count_labels(labels, len(expected))
    return LabelCoverage(int((counts > 0).sum()), kl_divergence(counts, expected))


def count_labels(labels: Tensor, classes: int) -> Tensor:
    """How often each of `classes` occurs: int64 [K]."""
    return torch.bincount(labels.cpu(), minlength=classes)


def kl_divergence(counts: Tensor, expected: Tensor) -> float:
    """KL(p || q) in nats, p and q in the proportions of `counts` and `expected` [K]; infinite where q lacks a class."""
    p, q = (values.double().cpu() / values.sum().item() for values in (counts, expected))
    if (p[q == 0] > 0).any():
        return math.inf
    return float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())


def join_digits(digits: Tensor) -> Tensor:
    """The numbers [N] whose decimal digits are [N, 3]: the modes of stacked MNIST."""
    powers = 10 ** torch.arange(digits.shape[1] - 1, -1, -1, device=digits.device)
    return (digits * powers).sum(dim=1)
