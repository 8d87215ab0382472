"""Precision, recall, density and coverage from k nearest neighbours, and distances to the nearest of another set."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.metrics.checks import check, check_pair
from gan_exp.metrics.pairwise import EQUAL, centred, rows_at_a_time, squared_distances

K_NEAREST = 5


class Manifolds(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def compare_manifolds(
    real: Tensor, fake: Tensor, k: int = K_NEAREST, chunk: int | None = None, real_radii: Tensor | None = None
) -> Manifolds:
    """How two clouds of features [N, D] and [M, D] lie in each other's balls, which reach to the k-th neighbour.

    precision: the part of the fakes in some real's ball; recall: the part of the reals in some fake's (Kynkäänniemi et
    al. 2019, "Improved Precision and Recall Metric"). density: in how many of the reals' balls a fake lies, over k (it
    may exceed 1); coverage: the part of the reals whose ball holds a fake (Naeem et al. 2020, "Reliable Fidelity and
    Diversity Metrics"). All four here: they share the balls, and only the first two are in a library that is kept.
    `real_radii` are the `squared_radii` of the reals, where they are known already.
    """
    check_pair(real, fake, least=k + 1)
    if real_radii is None:
        real_radii = squared_radii(real, k, chunk)
    fake_radii = squared_radii(fake, k, chunk)
    real, fake = centred(real, fake)
    chunk = chunk or rows_at_a_time(fake)
    in_real = torch.zeros(len(fake), dtype=torch.long, device=real.device)  # the reals' balls that each fake is in
    recalled, covered = [], []
    for part, radii in zip(real.split(chunk), real_radii.split(chunk), strict=True):
        distances = squared_distances(part, fake)
        inside = distances <= radii[:, None] * EQUAL
        in_real += inside.sum(dim=0)
        covered.append(inside.any(dim=1))
        recalled.append((distances <= fake_radii * EQUAL).any(dim=1))
    return Manifolds(
        precision=(in_real > 0).double().mean().item(),
        recall=torch.cat(recalled).double().mean().item(),
        density=in_real.double().mean().item() / k,
        coverage=torch.cat(covered).double().mean().item(),
    )


def squared_radii(features: Tensor, k: int = K_NEAREST, chunk: int | None = None) -> Tensor:
    """The squared distance of each of [N, D] to its k-th neighbour, itself not counted: float64 [N]."""
    (features,) = centred(check("features", features, least=k + 1))
    found = []
    places = torch.arange(len(features), device=features.device)
    for own in places.split(chunk or rows_at_a_time(features)):
        # topk, since it takes a tenth of the time of kthvalue
        found.append(squared_distances(features[own], features, own).topk(k, largest=False).values[:, -1])
    return torch.cat(found)


class Nearest(NamedTuple):
    distances: Tensor  # float64 [N]
    indices: Tensor  # int64 [N]

    def cpu(self) -> "Nearest":
        return Nearest(self.distances.cpu(), self.indices.cpu())


def find_nearest(queries: Tensor, references: Tensor, chunk: int | None = None) -> Nearest:
    """The nearest of `references` [M, D] to each of `queries` [N, D], by Euclidean distance."""
    check_pair(references, queries, least=1)
    references, queries = centred(references, queries)
    parts = queries.split(chunk or rows_at_a_time(references))
    found = [squared_distances(part, references).min(dim=1) for part in parts]
    return Nearest(torch.cat([one.values for one in found]).sqrt(), torch.cat([one.indices for one in found]))


def find_several(
    queries: Tensor, references: Tensor, k: int, chunk: int | None = None, own: Tensor | None = None
) -> Nearest:
    """The `k` nearest, [N, k] each, the nearest first.

    `own` int64 [N] says which of the references the queries are themselves: none is its own neighbour.
    """
    check_pair(references, queries, least=1)
    check("references", references, least=k + (own is not None))
    references, queries = centred(references, queries)
    places = torch.arange(len(queries), device=queries.device).split(chunk or rows_at_a_time(references))
    found = [
        squared_distances(queries[some], references, None if own is None else own[some]).topk(k, largest=False)
        for some in places
    ]
    return Nearest(torch.cat([one.values for one in found]).sqrt(), torch.cat([one.indices for one in found]))


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
