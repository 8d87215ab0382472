"""Several processes that train one GAN: each is a rank, and what they sum and tell each other goes through `Ranks`.

A program of one process is `ALONE`, whose methods do nothing and don't import torch. All ranks must call a method that
exchanges something, in the same order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gan_exp.runtime.lifeline import Lifeline

if TYPE_CHECKING:
    import torch


class Ranks:
    """This process among those that train together."""

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0, local_count: int = 1) -> None:
        """`local_rank` of `local_count` are those of this machine."""
        self.lifeline: Lifeline | None = None
        self.rank, self.count, self.local_rank, self.local_count = rank, count, local_rank, local_count
        self._assigned = False
        self._agreed: tuple[Any, torch.Tensor] | None = None  # under way: what `agree` returns next

    def __deepcopy__(self, memo: object) -> "Ranks":
        """The same: a copied network is in the same process."""
        return self

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone writes and shows."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Those of this rank in a whole batch of `count` rows, which the number of ranks must divide."""
        if count % self.count:
            raise ValueError(f"{count} rows can't be divided evenly among {self.count} processes")
        part = count // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def sum_(self, tensors: "Sequence[torch.Tensor]") -> None:
        """Replace each tensor by its sum over all ranks, which gets the same bits everywhere.

        Those of one dtype and device travel together.
        """
        if self.count == 1:
            return
        import torch

        alike: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
        for tensor in tensors:
            alike.setdefault((tensor.dtype, tensor.device), []).append(tensor.detach())
        for group in alike.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            torch.distributed.all_reduce(flat)
            sums = flat.split([tensor.numel() for tensor in group])
            for tensor, total in zip(group, sums, strict=True):
                tensor.copy_(total.view(tensor.shape))

    def gather(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """The parts [n, ...] of all ranks, which have the same shape, one after the other: [n * count, ...]."""
        if self.count == 1:
            return tensor
        import torch

        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(self.count)]
        torch.distributed.all_gather(parts, tensor.detach().contiguous())
        return torch.cat(parts)

    def largest(self, number: int) -> int:
        """The greatest of the numbers that the ranks give."""
        if self.count == 1:
            return number
        import torch

        found = torch.tensor(number)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return int(found)

    def any(self, flag: bool) -> bool:
        return self.largest(int(flag)) > 0

    def same(self, number: int) -> bool:
        """Whether all ranks give the same number."""
        return self.largest(number) == -self.largest(-number)

    def agree(self, number: int) -> int:
        """The greatest of the numbers that the ranks gave in the call before, 0 in the first: nobody waits for it.

        For signals, which reach the ranks at different moments and must stop them at the same step.
        """
        if self.count == 1:
            return number
        import torch

        before, new = self._agreed, torch.tensor(number)
        work = torch.distributed.all_reduce(new, torch.distributed.ReduceOp.MAX, async_op=True)
        self._agreed = work, new
        if before is None:
            return 0
        before[0].wait()
        return int(before[1])

    def broadcast(self, content: Any = None) -> Any:
        """What rank 0 gives, plain data."""
        if self.count == 1:
            return content
        import torch

        held = [content if self.first else None]
        torch.distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        return held[0]

    def assign(self, work: Any) -> None:
        """Rank 0 gives the others something to do, plain data or tensors, but no number."""
        self._assigned = True
        self.broadcast(work)

    def wait_for_work(self) -> Any:
        """What rank 0 assigns, or the exit code with which it lets the others go."""
        return self.broadcast()

    def release(self, code: int) -> None:
        """Rank 0 ends; if it has assigned nothing, the others end with this exit code."""
        if not self._assigned:
            with suppress(RuntimeError):  # one has died: there is nobody to let go
                self.broadcast(code)

    def collect(self, content: Any) -> list[Any]:
        """What each rank gives, plain data, by rank."""
        if self.count == 1:
            return [content]
        import torch

        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, content)
        return found

    def broadcast_(self, tensors: "Sequence[torch.Tensor]") -> None:
        """Replace each tensor by that of rank 0."""
        if self.count > 1:
            import torch

            for tensor in tensors:
                torch.distributed.broadcast(tensor.detach(), src=0)

    def send(self, tensor: "torch.Tensor", rank: int) -> None:
        """To one other rank, which must `receive` it."""
        import torch

        torch.distributed.send(tensor.detach().contiguous(), rank)

    def receive(self, tensor: "torch.Tensor", rank: int) -> None:
        """Fill the contiguous `tensor` with what that rank sends."""
        import torch

        torch.distributed.recv(tensor, rank)

    def cause_of(self, error: Exception) -> Exception:
        """The failure of another rank, if an exchange broke by it; else `error`."""
        return error if self.lifeline is None else self.lifeline.cause_of(error)

    @contextmanager
    def before_end(self, call: Callable[[Exception], None]) -> Iterator[None]:
        """Rank 0: call `call` with the failure of another rank if that has left this process stuck and ends it."""
        if self.lifeline is None:
            yield
            return
        with self.lifeline.before_end(call):
            yield

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self.largest(0)


ALONE = Ranks()
