"""Several ranks as threads of one process, which exchange tensors at a barrier: what takes seconds with processes."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from gan_exp.runtime.ranks import Ranks

Result = TypeVar("Result")


class _ThreadedRanks(Ranks):
    def __init__(self, rank: int, count: int, table: list[object], barrier: threading.Barrier) -> None:
        super().__init__(rank, count, rank, count)
        self._table, self._barrier = table, barrier

    def _exchange(self, content: object) -> list[object]:
        self._table[self.rank] = content
        self._barrier.wait(60)
        found = list(self._table)
        self._barrier.wait(60)
        return found

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        parts = self._exchange([tensor.detach().clone() for tensor in tensors])
        for tensor, values in zip(tensors, zip(*parts, strict=True), strict=True):  # type: ignore[call-overload]
            tensor.detach().copy_(torch.stack(values).sum(0))

    def gather(self, tensor: Tensor) -> Tensor:
        return torch.cat(self._exchange(tensor.detach().clone()))  # type: ignore[arg-type]

    def largest(self, number: int) -> int:
        return max(self._exchange(number))  # type: ignore[type-var, return-value]

    def broadcast(self, content: object = None) -> object:
        return self._exchange(content)[0]


def in_threads(count: int, call: Callable[[Ranks], Result]) -> list[Result]:
    """What `call` returns in each of `count` ranks. An error in one of them is raised here."""
    table: list[object] = [None] * count
    barrier = threading.Barrier(count)

    def run(rank: int) -> Result:
        try:
            return call(_ThreadedRanks(rank, count, table, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, rank) for rank in range(count)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [future.result() for future in futures]
