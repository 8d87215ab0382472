"""Several processes: a lock on a file, and the refusal of launchers that start more than one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gan_exp.errors import UserError
from gan_exp.runtime.signals import stop_if_asked

# The number of processes, as set by torchrun, submitit's local executor, Open MPI and MPICH.
COUNTS = ("WORLD_SIZE", "SUBMITIT_LOCAL_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def refuse_multiple_processes(environ: Mapping[str, str] = os.environ) -> None:
    """Raises UserError if a launcher has started this process as one of several: each would train the same run.

    In Slurm, srun starts several processes, and sbatch starts one, even with --ntasks=4 or --array: only srun sets
    SLURM_STEP_NUM_TASKS. SLURM_NTASKS is checked too, since a job that is submitted from within a step inherits the
    step's variable.
    """
    several = [name for name in COUNTS if _number(environ.get(name)) > 1]
    if _number(environ.get("SLURM_STEP_NUM_TASKS")) > 1 and _number(environ.get("SLURM_NTASKS")) > 1:
        several.append("SLURM_STEP_NUM_TASKS")
    for name in several:
        raise UserError(
            f"{name}={environ[name]}: this is one of several processes, and each would train the same run; start one "
            f"(without torchrun or mpirun; srun --ntasks=1), or unset {name} if it is a leftover"
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


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
