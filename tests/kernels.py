"""Which of torch's operations a piece of code runs, how often, and how the images lie that they are given."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Kernels(TorchDispatchMode):
    """Counts them by name within its block, those of backward passes too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


class Layouts(TorchDispatchMode):
    """Notes what computes with batches of `count` images that don't lie channels last."""

    NAMES = ("convolution", "leaky_relu", "upsample", "batch_norm", "aten.add", "aten.avg_pool")

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = count
        self.slow: list[str] = []
        self.calls = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(function) for name in self.NAMES):
            images = [x for x in args if isinstance(x, Tensor) and x.dim() == 4 and len(x) == self.count]
            self.calls += len(images)
            if not all(image.is_contiguous(memory_format=torch.channels_last) for image in images):
                self.slow.append(f"{function} {[(*image.shape, image.stride()) for image in images]}")
        return function(*args, **(kwargs or {}))
