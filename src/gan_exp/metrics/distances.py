"""Distances between two clouds of features, and the score of their class probabilities.

They are torch-fidelity's figures (the tests compare them), without the seconds that importing it takes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gan_exp.metrics.checks import check, check_pair

KERNEL_SUBSETS = 100
KERNEL_SUBSET_SIZE = 1000
SCORE_SPLITS = 10
LEAST_IN_SPLIT = 100  # a split of one sample has the score 1, whatever the sample; few of them, hardly more
# Of |x|^2 / D: the kernel is below (1 + 10)^3 then, and the mean over pairs of what float32 rounds is below 1e-6.
LARGEST_IN_SINGLE = 10.0
Floats = npt.NDArray[np.floating[Any]]


class Spread(NamedTuple):
    mean: float
    sd: float


class FrechetReference:
    """The data's side of the Frechet distance: its mean and covariance serve every comparison."""

    def __init__(self, real: Tensor) -> None:
        # float64: of the product of nearly singular covariances float32 keeps half of its digits.
        self._real = check("real features", real, least=2)
        features = real.cpu().double()
        self._mean, self._spread, self._root = features.mean(dim=0), features.var(dim=0).sum(), _root(features)

    def distance(self, fake: Tensor) -> float:
        """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of Gaussians fitted to features [N, D] (Heusel et al. 2017, "GANs
        Trained by a Two Time-Scale Update Rule", equation 6).

        0 is the least. It is biased upwards, the more so the fewer samples: compare at equal numbers only.
        """
        check_pair(self._real, fake, least=2)
        features = fake.cpu().double()
        apart = (self._mean - features.mean(dim=0)).square().sum()
        spread = self._spread + features.var(dim=0).sum()
        # With S = A A' and S' = B B', the roots of the eigenvalues of S S' are the singular values of A'B.
        shared = torch.linalg.svdvals(self._root.T @ _root(features)).sum()
        return float(apart + spread - 2 * shared)


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The distance of `FrechetReference` between features [N, D] and [M, D]."""
    return FrechetReference(real).distance(fake)


def _root(features: Tensor) -> Tensor:
    """An A [D, D] whose product A A' is the covariance of features [N, D]."""
    values, vectors = torch.linalg.eigh(features.T.cov().reshape(features.shape[1], features.shape[1]))
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root


class KernelReference:
    """The data's side of the kernel distance: its subsets and the means within them serve every comparison."""

    def __init__(self, real: Tensor, subsets: int = KERNEL_SUBSETS) -> None:
        self._real: Floats = check("real features", real, least=2).cpu().double().numpy()
        self._subsets = subsets
        self._within: dict[tuple[int, Any], list[float]] = {}  # by the size of the subsets, and the precision

    def distance(self, fake: Tensor, seed: int) -> Spread:
        """Squared maximum mean discrepancy, kernel (x.y / D + 1)^3 (Binkowski et al. 2018, "Demystifying MMD GANs").

        The mean and standard deviation over subsets of 1,000 samples each (fewer where there are no 1,000), drawn by
        `seed`. Unbiased: for samples of the same distribution it is about 0, and may be below.
        """
        check("fake features", fake, least=2)
        others: Floats = fake.cpu().double().numpy()
        size = min(KERNEL_SUBSET_SIZE, len(self._real), len(others))
        kind = np.float32 if max(_longest(self._real), _longest(others)) <= LARGEST_IN_SINGLE else np.float64
        real, others = self._real.astype(kind), others.astype(kind)
        if (size, kind) not in self._within:
            self._within[size, kind] = [_within(real[places]) for places in self._places(size)]
        draws = np.random.default_rng((0, seed))
        found = []
        for inside, places in zip(self._within[size, kind], self._places(size), strict=True):
            some = others[draws.choice(len(others), size, replace=False)]
            found.append(inside + _within(some) - 2 * _sum(_kernel(real[places], some)) / size**2)
        return Spread(float(np.mean(found)), float(np.std(found)))

    def _places(self, size: int) -> Any:
        """The subsets' indices, always the same ones."""
        draws = np.random.default_rng(1)
        return (draws.choice(len(self._real), size, replace=False) for _ in range(self._subsets))


def kernel_distance(real: Tensor, fake: Tensor, seed: int, subsets: int = KERNEL_SUBSETS) -> Spread:
    """The distance of `KernelReference` between features [N, D] and [M, D]."""
    check_pair(real, fake, least=2)
    return KernelReference(real, subsets).distance(fake, seed)


def _kernel(some: Floats, others: Floats) -> Floats:
    """numpy, since its product of a matrix with itself takes half of torch's time."""
    found: Floats = some @ others.T
    found /= some.shape[1]
    found += 1
    return found * found * found


def _longest(features: Floats) -> float:
    """The largest |x|^2 / D."""
    return float((features * features).mean(axis=1).max())


def _sum(kernel: Floats) -> float:
    """Row by row as it is, then in float64: what the rows round cancels out."""
    return float(kernel.sum(axis=1).sum(dtype=np.float64))


def _within(some: Floats) -> float:
    """The mean over pairs of different samples."""
    kernel = _kernel(some, some)
    count = len(some)
    return float((_sum(kernel) - float(kernel.trace(dtype=np.float64))) / (count * (count - 1)))


def score_splits(count: int) -> int:
    """Into how many parts the class score divides so many samples."""
    return min(SCORE_SPLITS, max(1, count // LEAST_IN_SPLIT))


def class_score(logits: Tensor, seed: int) -> Spread:
    """exp E KL(p(y|x) || p(y)) from logits [N, K] (Salimans et al. 2016, "Improved Techniques for Training GANs").

    Between 1 and K: each sample surely of one class, and all classes equally often. The mean and standard deviation
    over ten parts (fewer of less than a thousand samples), in an order drawn by `seed`.
    """
    check("logits", logits, least=SCORE_SPLITS)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(logits)))
    logs = logits.cpu()[order].double().log_softmax(dim=1)
    scores = []
    for part in logs.tensor_split(score_splits(len(logs))):
        surprise = part - (part.logsumexp(dim=0, keepdim=True) - math.log(len(part)))
        scores.append(float((part.exp() * surprise).sum(dim=1).mean().exp()))
    return Spread(float(np.mean(scores)), float(np.std(scores)))
