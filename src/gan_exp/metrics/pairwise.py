"""Euclidean distances between two clouds of features, as exact where they are small as where they are large.

|x|^2 + |y|^2 - 2 x.y by one matrix product is six times as fast as the differences, but what is left of two long
vectors that lie close together is rounding: of features about 300 with a spread of 0.1, or of dark images, float32 has
nothing left. So it is done in float64, about the mean of one cloud, and where even that is too little from differences.
"""

import torch
from torch import Tensor

NEAR = 1e-6  # of |x|^2 + |y|^2: of a squared distance below it the product has less than ten digits
EQUAL = 1 + 1e-9  # a product's rounding: squared distances that differ by less are the same
MOST_HELD = 2**23  # distances at a time: 64 MB


def centred(first: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """The clouds [N, D], [M, D], ... in float64, about the first one's mean."""
    center = first.double().mean(dim=0)
    return tuple(cloud.double() - center for cloud in (first, *others))


def squared_distances(some: Tensor, others: Tensor, own: Tensor | None = None) -> Tensor:
    """[N, M] in float64, of clouds [N, D] and [M, D] that are `centred`; of equal vectors exactly 0.

    `own` int64 [N] says which of `others` they are themselves: to itself none has a distance then, but infinity.
    """
    lengths = some.square().sum(dim=1, keepdim=True) + others.square().sum(dim=1)
    found = torch.addmm(lengths, some, others.T, alpha=-2)
    near = found <= lengths.mul_(NEAR)
    itself = None if own is None else (torch.arange(len(some), device=some.device), own)
    if itself is not None:
        near[itself] = False
    rows = near.any(dim=1).nonzero().flatten()
    if len(rows):
        plainly = torch.cdist(some[rows], others, compute_mode="donot_use_mm_for_euclid_dist")
        found[rows] = plainly.square_()
    if itself is not None:
        found[itself] = torch.inf
    return found


def rows_at_a_time(others: Tensor) -> int:
    return max(1, MOST_HELD // max(1, len(others)))
