"""Several processes: a lock on a file, and the refusal of launchers that start more than one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gan_exp.errors import UserError
from gan_exp.runtime.launchers import number, started_by_srun
from gan_exp.runtime.signals import stop_if_asked

# The number of processes, as set by submitit's local executor, Open MPI and MPICH.
OTHER_COUNTS = ("SUBMITIT_LOCAL_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def refuse_multiple_processes(what: str, environ: Mapping[str, str] = os.environ, each_says: bool = False) -> None:
    """Raises UserError if a launcher has started this process as one of several: each would do the same.

    `what` is asked for, such as a command, and makes sense in one process alone. Unless `each_says` so, only the first
    does, and the others exit.
    """
    several = [name for name in ("WORLD_SIZE", *OTHER_COUNTS) if number(environ.get(name)) > 1]
    if started_by_srun(environ):
        several.append("SLURM_STEP_NUM_TASKS")
    if several and not each_says and number(environ.get("RANK", environ.get("SLURM_PROCID"))) > 0:
        raise SystemExit(2)  # the first says it
    for name in several:
        raise UserError(
            f"{what}: needs one process, and {name}={environ[name]} says that this is one of several; start one "
            f"(without torchrun or mpirun; srun --ntasks=1), or unset {name} if it is a leftover"
        )


def refuse_other_launchers(environ: Mapping[str, str] = os.environ) -> None:
    """Raises UserError if this is one of several processes that don't know how to find each other."""
    if number(environ.get("WORLD_SIZE")) > 1 or started_by_srun(environ):
        return
    for name in OTHER_COUNTS:
        if number(environ.get(name)) > 1:
            raise UserError(
                f"{name}={environ[name]}: this is one of several processes, and each would train the same run; start "
                f"them with torchrun or srun, or unset {name} if it is a leftover"
            )


@contextmanager
def file_lock(path: Path | str) -> Iterator[None]:
    """Hold the lock on `path`, waiting until it is free; a signal ends the wait (see `stop_if_asked`)."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while not lock.is_locked:
        stop_if_asked()
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
