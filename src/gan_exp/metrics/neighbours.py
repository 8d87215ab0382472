"""Who lies near whom: precision, recall, density and coverage, and the nearest of another set."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.metrics.checks import check_pair

NEIGHBOURS = 5
CHUNK = 1024  # rows of the matrix of distances that are held at a time


class Manifolds(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def compare_manifolds(real: Tensor, fake: Tensor, k: int = NEIGHBOURS, chunk: int = CHUNK) -> Manifolds:
    """How two clouds of features [N, D] and [M, D] lie in each other's balls, which reach to the k-th neighbour.

    precision: the part of the fakes in some real's ball; recall: the part of the reals in some fake's (Kynkäänniemi et
    al. 2019, "Improved Precision and Recall Metric"). density: in how many of the reals' balls a fake lies, over k (it
    may exceed 1); coverage: the part of the reals whose ball holds a fake (Naeem et al. 2020, "Reliable Fidelity and
    Diversity Metrics"). All four here: they share the balls, and only the first two are in a library that is kept.
    """
    check_pair(real, fake, least=k + 1)
    real_radii, fake_radii = _radii(real, k, chunk), _radii(fake, k, chunk)
    in_real = torch.zeros(len(fake), dtype=torch.long, device=real.device)  # the reals' balls that each fake is in
    recalled, covered = [], []
    for part, radii in zip(real.split(chunk), real_radii.split(chunk), strict=True):
        distances = torch.cdist(part, fake)
        inside = distances <= radii[:, None]
        in_real += inside.sum(dim=0)
        covered.append(inside.any(dim=1))
        recalled.append((distances <= fake_radii).any(dim=1))
    return Manifolds(
        precision=(in_real > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=in_real.double().mean().item() / k,
        coverage=torch.cat(covered).double().mean().item(),
    )


def _radii(features: Tensor, k: int, chunk: int) -> Tensor:
    """The distance of each to its k-th neighbour, itself not counted."""
    return torch.cat([torch.cdist(part, features).kthvalue(k + 1).values for part in features.split(chunk)])


class Nearest(NamedTuple):
    distances: Tensor  # [N]
    indices: Tensor  # int64 [N]


def find_nearest(queries: Tensor, references: Tensor, chunk: int = CHUNK) -> Nearest:
    """The nearest of `references` [M, D] to each of `queries` [N, D], by Euclidean distance."""
    check_pair(references, queries, least=1)
    indices = torch.cat([torch.cdist(part, references).argmin(dim=1) for part in queries.split(chunk)])
    # Anew, from the differences: cdist's matrix product gives an exact copy a distance that isn't quite 0.
    return Nearest((queries - references[indices]).norm(dim=1), indices)


class Memorisation(NamedTuple):
    """`nearer`: the part of the samples nearer to a training image than all but 1 % of held-out images are."""

    sample_distance: float  # the median
    held_out_distance: float  # the median
    nearer: float


def compare_with_held_out(samples: Tensor, held_out: Tensor) -> Memorisation:
    """From the distances of both [N], [M] to their nearest training images.

    Of a generator that learned the distribution and not the images, about 1 % are `nearer`.
    """
    threshold = held_out.quantile(0.01)
    return Memorisation(samples.median().item(), held_out.median().item(), (samples < threshold).double().mean().item())
