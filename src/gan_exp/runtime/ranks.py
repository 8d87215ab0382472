"""Several processes that train one GAN: each is a rank, and what they sum and tell each other goes through `Ranks`.

A program of one process is `ALONE`, whose methods do nothing and don't import torch. All ranks must call a method that
exchanges something, in the same order.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gan_exp.errors import UserError
from gan_exp.runtime.launchers import Place, place
from gan_exp.runtime.lifeline import Lifeline
from gan_exp.runtime.signals import stop_if_asked

if TYPE_CHECKING:
    import torch

JOIN_S = 300.0  # until all ranks must have come
TRY_S = 2.0  # of a single attempt
NO_LIMIT = timedelta(
    days=3650
)  # ranks wait for each other as long as it takes; a rank that dies closes its connections


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


@contextmanager
def join() -> Iterator[Ranks]:
    """Join the processes that torchrun or srun has started, for as long as the block lasts; `ALONE` if it is one.

    Tensors on the CPU travel with gloo, those on GPUs with NCCL. When the block ends by an exception, the other ranks
    learn of it and end too. Raises UserError if some rank doesn't come.
    """
    found = place()
    if found is None:
        yield ALONE
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings are about host names
    import torch

    if found.agent_listens:
        _stop_with_the_parent()
    distributed: Any = torch.distributed
    store = _store(found)
    ranks = Ranks(found.rank, found.count, found.local_rank, found.local_count)
    lifeline = ranks.lifeline = Lifeline(found.rank, found.count, found.address, store, JOIN_S)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    failure: BaseException | None = None
    try:
        distributed.init_process_group(backend, store=store, rank=found.rank, world_size=found.count, timeout=NO_LIMIT)
        yield ranks
    except SystemExit:
        raise
    except BaseException as error:
        failure = error
        raise
    finally:
        lifeline.leave(failure)
        if distributed.is_initialized():
            distributed.destroy_process_group()
        lifeline.close()


def _stop_with_the_parent() -> None:
    """If torchrun's process dies, ask this one to stop, which saves a checkpoint: nothing is left over."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _store(found: Place) -> Any:
    """Where the ranks find each other; waits until all have come."""
    import torch

    distributed: Any = torch.distributed  # its stores are not declared
    try:
        store = _patiently(
            lambda limit: distributed.TCPStore(
                found.address,
                found.port,
                is_master=found.rank == 0 and not found.agent_listens,
                timeout=limit,
                wait_for_workers=False,
            )
        )
        prefixed = distributed.PrefixStore(f"gan-exp/{found.attempt}", store)
        prefixed.set(f"here/{found.rank}", "")
        all_here = [f"here/{rank}" for rank in range(found.count)]
        _patiently(lambda limit: prefixed.wait(all_here, limit))
    except distributed.DistError as error:
        raise UserError(
            f"{found.address}:{found.port}: the {found.count} processes have not met there "
            f"({str(error).splitlines()[0]}); set MASTER_ADDR and MASTER_PORT to a machine and port that all can reach"
        ) from error
    prefixed.set_timeout(timedelta(seconds=JOIN_S))
    return prefixed


def _patiently(attempt: Callable[[timedelta], Any]) -> Any:
    """What the attempt returns, made again and again for `JOIN_S`; a signal ends the wait."""
    from torch.distributed import DistError

    until = time.monotonic() + JOIN_S
    while True:
        stop_if_asked()
        try:
            return attempt(timedelta(seconds=TRY_S))
        except DistError:
            if time.monotonic() > until:
                raise
