"""Work for a GPU that the CPU does where the GPU can't."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import torch

Made = TypeVar("Made")


def in_float64(device: torch.device | str, compute: Callable[[torch.device], Made]) -> Made:
    """`compute(device)`; with the CPU in its place for a device without float64 (MPS), or one that has no room left.

    The training whose generator is evaluated has most of a GPU's memory.
    """
    device = torch.device(device)
    if device.type == "cuda":
        with suppress(torch.OutOfMemoryError):
            return compute(device)
    return compute(torch.device("cpu"))
