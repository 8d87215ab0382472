"""Distances between two clouds of features, and the score of their class probabilities.

They are torch-fidelity's figures (the tests compare them), without the seconds that importing it takes. What grows with
the number of samples is computed where the features are, on a GPU too.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gan_exp.metrics.checks import check, check_fake

KERNEL_SUBSETS = 100
KERNEL_SUBSET_SIZE = 1000
SCORE_SPLITS = 10
LEAST_IN_SPLIT = 100  # a split of one sample has the score 1, whatever the sample; few of them, hardly more
# Of |x|^2 / D: the kernel is below (1 + 10)^3 then, and the mean over pairs of what float32 rounds is below 1e-6.
LARGEST_IN_SINGLE = 10.0
Floats = npt.NDArray[np.floating[Any]]
Cloud = Floats | Tensor  # of the features on a CPU, and on a GPU


class Spread(NamedTuple):
    mean: float
    sd: float


class FrechetReference:
    """The data's side of the Frechet distance: its mean and covariance serve every comparison."""

    def __init__(self, real: Tensor) -> None:
        # float64: of the product of nearly singular covariances float32 keeps half of its digits.
        features = check("real features", real, least=2).double()
        self._mean, self._spread, self._root = _gaussian(features)

    def distance(self, fake: Tensor) -> float:
        """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of Gaussians fitted to features [N, D] (Heusel et al. 2017, "GANs
        Trained by a Two Time-Scale Update Rule", equation 6).

        0 is the least. It is biased upwards, the more so the fewer samples: compare at equal numbers only.
        """
        check_fake(len(self._mean), fake, least=2)
        mean, spread, root = _gaussian(fake.double())
        apart = (self._mean - mean).square().sum()
        # With S = A A' and S' = B B', the roots of the eigenvalues of S S' are the singular values of A'B.
        shared = torch.linalg.svdvals(self._root.T @ root).sum()
        return float(apart + (self._spread + spread) - 2 * shared)


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The distance of `FrechetReference` between features [N, D] and [M, D]."""
    return FrechetReference(real).distance(fake)


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """On the CPU: the mean of features [N, D], the sum of their variances, and an A [D, D] with the covariance A A'.

    Matrices [D, D] are taken apart by the CPU, whose LAPACK needs no more time for it than a GPU.
    """
    dimensions = features.shape[1]
    values, vectors = torch.linalg.eigh(features.T.cov().reshape(dimensions, dimensions).cpu())
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return features.mean(dim=0).cpu(), features.var(dim=0).sum().cpu(), root


class KernelReference:
    """The data's side of the kernel distance: its subsets and the means within them serve every comparison."""

    def __init__(self, real: Tensor, subsets: int = KERNEL_SUBSETS) -> None:
        self._real: Floats = check("real features", real, least=2).cpu().double().numpy()
        self._longest = _longest(self._real)
        self._subsets = subsets
        self._within: dict[tuple[int, Any], list[float]] = {}  # by the size of the subsets, and the precision

    def distance(self, fake: Tensor, seed: int) -> Spread:
        """Squared maximum mean discrepancy, kernel (x.y / D + 1)^3 (Binkowski et al. 2018, "Demystifying MMD GANs").

        The mean and standard deviation over subsets of 1,000 samples each (fewer where there are no 1,000), drawn by
        `seed`. Unbiased: for samples of the same distribution it is about 0, and may be below.
        """
        check("fake features", fake, least=2)
        size = min(KERNEL_SUBSET_SIZE, len(self._real), len(fake))
        real, others, kind = self._clouds(fake)
        if (size, kind) not in self._within:
            self._within[size, kind] = [_within(_rows(real, places)) for places in self._places(size)]
        draws = np.random.default_rng((0, seed))
        found = []
        for inside, places in zip(self._within[size, kind], self._places(size), strict=True):
            some = _rows(others, draws.choice(len(others), size, replace=False))
            found.append(inside + _within(some) - 2 * _sum(_kernel(_rows(real, places), some)) / size**2)
        return Spread(float(np.mean(found)), float(np.std(found)))

    def _clouds(self, fake: Tensor) -> tuple[Cloud, Cloud, Any]:
        """The reals and the fakes where the latter are, as numpy's arrays on a CPU; and their precision."""
        precise = fake.double()
        if fake.device.type == "cpu":
            others: Floats = precise.numpy()
            kind = np.float32 if max(self._longest, _longest(others)) <= LARGEST_IN_SINGLE else np.float64
            return self._real.astype(kind), others.astype(kind), kind
        dtype = torch.float32 if max(self._longest, _longest(precise)) <= LARGEST_IN_SINGLE else torch.float64
        return torch.from_numpy(self._real).to(dtype).to(fake.device), precise.to(dtype), dtype

    def _places(self, size: int) -> Any:
        """The subsets' indices, always the same ones."""
        draws = np.random.default_rng(1)
        return (draws.choice(len(self._real), size, replace=False) for _ in range(self._subsets))


def kernel_distance(real: Tensor, fake: Tensor, seed: int, subsets: int = KERNEL_SUBSETS) -> Spread:
    """The distance of `KernelReference` between features [N, D] and [M, D]."""
    check_fake(check("real features", real, least=2).shape[1], fake, least=2)
    return KernelReference(real, subsets).distance(fake, seed)


def _rows(cloud: Cloud, places: Any) -> Cloud:
    if isinstance(cloud, Tensor):
        return cloud[torch.from_numpy(places).to(cloud.device)]
    found: Floats = cloud[places]
    return found


def _kernel(some: Cloud, others: Cloud) -> Cloud:
    """numpy on a CPU, since its product of a matrix with itself takes half of torch's time."""
    found: Any = some @ others.T
    found /= some.shape[1]
    found += 1
    product: Cloud = found * found * found
    return product


def _longest(features: Cloud) -> float:
    """The largest |x|^2 / D."""
    squares: Any = features * features
    return float(squares.mean(axis=1).max())


def _sum(kernel: Any) -> float:
    """Row by row as it is, then in float64: what the rows round cancels out."""
    return float(_as_array(kernel.sum(axis=1)).sum(dtype=np.float64))


def _within(some: Cloud) -> float:
    """The mean over pairs of different samples."""
    kernel: Any = _kernel(some, some)
    count = len(some)
    trace = float(_as_array(kernel.diagonal()).sum(dtype=np.float64))
    return float((_sum(kernel) - trace) / (count * (count - 1)))


def _as_array(values: Cloud) -> Floats:
    return values.cpu().numpy() if isinstance(values, Tensor) else values


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
    logs = logits[order.to(logits.device)].double().log_softmax(dim=1)
    scores = []
    for part in logs.tensor_split(score_splits(len(logs))):
        surprise = part - (part.logsumexp(dim=0, keepdim=True) - math.log(len(part)))
        scores.append(float((part.exp() * surprise).sum(dim=1).mean().exp()))
    return Spread(float(np.mean(scores)), float(np.std(scores)))
