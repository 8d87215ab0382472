"""Several ranks as threads of one process, which exchange tensors at a barrier: what takes seconds with processes."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import TypeVar

import torch
from torch import Tensor

from gan_exp.runtime.ranks import Ranks
from waiting import LONGEST_WAIT_S

Result = TypeVar("Result")
Letters = defaultdict[tuple[int, int], "Queue[Tensor]"]  # from one rank to another


class _ThreadedRanks(Ranks):
    def __init__(
        self, rank: int, count: int, table: list[object], barrier: threading.Barrier, letters: Letters
    ) -> None:
        super().__init__(rank, count, rank, count)
        self._table, self._barrier, self._letters = table, barrier, letters

    def _exchange(self, content: object) -> list[object]:
        self._table[self.rank] = content
        self._barrier.wait(LONGEST_WAIT_S)
        found = list(self._table)
        self._barrier.wait(LONGEST_WAIT_S)
        return found

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        parts = self._exchange([tensor.detach().clone() for tensor in tensors])
        for tensor, values in zip(tensors, zip(*parts, strict=True), strict=True):  # type: ignore[call-overload]
            tensor.detach().copy_(torch.stack(values).sum(0))

    def gather(self, tensor: Tensor) -> Tensor:
        return torch.cat(self._exchange(tensor.detach().clone()))  # type: ignore[arg-type]

    def send(self, tensor: Tensor, rank: int) -> None:
        self._letters[self.rank, rank].put(tensor.detach().clone())

    def receive(self, tensor: Tensor, rank: int) -> None:
        tensor.copy_(self._letters[rank, self.rank].get(block=True))

    def largest(self, number: int) -> int:
        return max(self._exchange(number))  # type: ignore[type-var, return-value]

    def broadcast(self, content: object = None) -> object:
        return self._exchange(content)[0]


def in_threads(count: int, call: Callable[[Ranks], Result]) -> list[Result]:
    """What `call` returns in each of `count` ranks. An error in one of them is raised here."""
    table: list[object] = [None] * count
    barrier, letters = threading.Barrier(count), Letters(Queue)

    def run(rank: int) -> Result:
        try:
            return call(_ThreadedRanks(rank, count, table, barrier, letters))
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
