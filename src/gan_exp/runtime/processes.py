"""Other processes beside this one: those that want the same file, and those that were started as parts of one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked

# How many processes there are, by those that start them: torchrun, submitit's local executor, Open MPI, MPICH.
COUNTS = ("WORLD_SIZE", "SUBMITIT_LOCAL_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def refuse_multiple_processes(environ: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where this process is one of several that were started to do the same: each would do all of it.

    In Slurm a step counts (srun): the script of `sbatch --ntasks=4` is one process, which only has the room for four,
    and has no SLURM_STEP_NUM_TASKS; nor is an array one thing. The count that a step has of its own is compared with
    the job's, since a job that is submitted from within a step is told both of that step and of itself.
    """
    several = [name for name in COUNTS if _number(environ.get(name)) > 1]
    if _number(environ.get("SLURM_STEP_NUM_TASKS")) > 1 and _number(environ.get("SLURM_NTASKS")) > 1:
        several.append("SLURM_STEP_NUM_TASKS")
    for name in several:
        raise UserError(
            f"{name}={environ[name]}: this is one of several processes, and each would train the same run; start one "
            f"(without torchrun or mpirun; srun --ntasks=1), or unset {name} where it is a leftover"
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


@contextmanager
def file_lock(path: Path | str) -> Iterator[None]:
    """Of two processes that come at once one goes on and the other waits; a signal ends the waiting."""
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
