"""How the processes that torchrun or srun has started find each other, and part again."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from gan_exp.errors import UserError
from gan_exp.runtime.launchers import Place, place
from gan_exp.runtime.lifeline import Lifeline
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.runtime.signals import stop_if_asked

JOIN_S = 300.0  # until all ranks must have come
TRY_S = 2.0  # of a single attempt
NO_LIMIT = timedelta(days=3650)  # ranks wait for each other as long as it takes; one that dies closes its connections


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
