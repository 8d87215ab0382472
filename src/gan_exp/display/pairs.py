"""Samples beside their nearest training images: has the generator memorised the data?"""

import torch
from torch import Tensor

from gan_exp.display.images import image_grid
from gan_exp.metrics.neighbours import Nearest

ROWS, PAIRS = 6, 4


def neighbour_grid(samples: Tensor, training_images: Tensor, nearest: Nearest) -> Tensor:
    """Pairs of a sample and, on its right, the nearest training image: four a row, the smallest distance first.

    All images are uint8. `nearest` belongs to the first of `samples` [N, C, H, W] and points into `training_images`
    [M, C, H, W].
    """
    order = nearest.distances.argsort()[: ROWS * PAIRS]
    rows = max(1, len(order) // PAIRS)
    order = order[: rows * PAIRS]
    found = nearest.indices[order].to(training_images.device)
    pairs = torch.stack([samples[order], training_images[found].cpu()], dim=1).flatten(0, 1)
    return image_grid(pairs, rows, len(pairs) // rows)
