"""The digits that come with scikit-learn: real data without a download."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_exp.data.packed import PackedImages, one_sided


@one_sided
def digits() -> PackedImages:
    """1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998, UCI), with the values 0-16 scaled to 0-255."""
    table = _table()
    images = table[:, :-1].reshape(-1, 1, 8, 8).mul(255 / 16).round().byte()
    return PackedImages(images, table[:, -1].long(), tuple(map(str, range(10))))


@cache
def _table() -> Tensor:
    """[1797, 64 + 1], the label last; numbers from text are slow to read."""
    package = find_spec("sklearn")  # importing it would take seconds
    assert package is not None and package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as file:
        return torch.from_numpy(np.loadtxt(file, delimiter=","))
