"""The neighbour metrics once more, as their definitions are written: all pairs' differences, in float64."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float64]


def distances(some: Tensor, others: Tensor) -> Floats:
    """[N, M], of the differences, row by row."""
    x, y = some.double().numpy(), others.double().numpy()
    return np.stack([np.sqrt(((row - y) ** 2).sum(axis=1)) for row in x])


def radii(features: Tensor, k: int) -> Floats:
    among = distances(features, features)
    np.fill_diagonal(among, np.inf)
    found: Floats = np.sort(among, axis=1)[:, k - 1]
    return found


def manifolds(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage."""
    apart = distances(real, fake)
    in_real, in_fake = apart <= radii(real, k)[:, None], apart <= radii(fake, k)[None]
    return in_real.any(axis=0).mean(), in_fake.any(axis=1).mean(), in_real.sum(axis=0).mean() / k, in_real.any(1).mean()
