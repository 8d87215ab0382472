"""Processes that train together, in the environment that srun gives each."""

import os
import resource
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from forked import Forked, fork_command
from gan_exp.runs.run_dir import RunDir
from waiting import LONGEST_WAIT_S

TINY = (
    "model.generator.widths=[8]",
    "model.discriminator.widths=[8]",
    "batch_size=8",
    "log_every_steps=5",
    "sample_every_steps=1000000",
    "checkpoint_every_steps=5",
    "device=cpu",
    "display=plain",
)
ENDLESS = ("steps=10000000", *TINY)


def srun(place: Path, count: int, *words: str, file_limit: int | None = None) -> list[Forked]:
    """`gan-exp words` in `count` processes, by rank; no file of rank 0 may grow beyond `file_limit` bytes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = os.environ | {
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": str(count),
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_STEP_TASKS_PER_NODE": str(count),
        "MASTER_PORT": str(port),
    }

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    own = [environ | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(count)]
    return [fork_command(place, *words, environ=own[0], first=limit)] + [
        fork_command(place, *words, environ=one) for one in own[1:]
    ]


Process = Forked | subprocess.Popen[str]


def ends(processes: Sequence[Process]) -> list[subprocess.CompletedProcess[str]]:
    """Exit codes and outputs by rank."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=LONGEST_WAIT_S)
        found.append(subprocess.CompletedProcess([], process.returncode, out, err))
    return found


def wait_until_they_train(processes: Sequence[Process], run: RunDir, steps: int = 10) -> None:
    """Until so many steps have been taken beyond those that a checkpoint holds now."""
    done = max((step for step, _ in run.list_checkpoints()), default=0)
    while max((step for step, _ in run.list_checkpoints()), default=0) < done + steps:
        assert all(process.poll() is None for process in processes), ends(processes)
        time.sleep(0.01)
