"""The place of this process among those that a launcher has started, from the launcher's environment variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gan_exp.errors import UserError

FIRST_PORT, PORTS = 20_000, 10_000  # for the processes of Slurm's job steps, which must agree on a port


@dataclass(frozen=True)
class Place:
    """`rank` of `count` processes; `local_rank` of the `local_count` on this machine.

    The processes meet at `address` and `port`, where rank 0 listens unless `agent_listens` (torchrun's own process).
    `attempt` tells the processes that the launcher has started anew from those before.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int
    address: str
    port: int
    agent_listens: bool = False
    attempt: str = "0"


def place(environ: Mapping[str, str] = os.environ) -> Place | None:
    """None for one process. Raises UserError where a variable of the launcher is missing."""
    if number(environ.get("WORLD_SIZE")) > 1:
        return _of_torchrun(environ)
    return _of_srun(environ) if started_by_srun(environ) else None


def started_by_srun(environ: Mapping[str, str] = os.environ) -> bool:
    """As one of several: srun starts several processes, and sbatch starts one, even with --ntasks=4 or --array.

    Only srun sets SLURM_STEP_NUM_TASKS. SLURM_NTASKS is checked too, since a job that is submitted from within a step
    inherits the step's variable.
    """
    return number(environ.get("SLURM_STEP_NUM_TASKS")) > 1 and number(environ.get("SLURM_NTASKS")) > 1


def _of_torchrun(environ: Mapping[str, str]) -> Place:
    needed = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in needed if name not in environ]
    if missing:
        raise UserError(
            f"WORLD_SIZE={environ['WORLD_SIZE']}: {missing[0]} is not set, which torchrun would set too; start the "
            f"processes with torchrun or srun, or unset WORLD_SIZE if it is a leftover"
        )
    return Place(
        rank=int(environ["RANK"]),
        count=int(environ["WORLD_SIZE"]),
        local_rank=int(environ["LOCAL_RANK"]),
        local_count=int(environ["LOCAL_WORLD_SIZE"]),
        address=environ["MASTER_ADDR"],
        port=int(environ["MASTER_PORT"]),
        agent_listens=environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        attempt=environ.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )


def _of_srun(environ: Mapping[str, str]) -> Place:
    step = number(environ.get("SLURM_STEP_ID"))
    of_the_step = FIRST_PORT + (number(environ.get("SLURM_JOB_ID")) * 7 + step) % PORTS
    return Place(
        int(environ["SLURM_PROCID"]),
        int(environ["SLURM_STEP_NUM_TASKS"]),
        int(environ["SLURM_LOCALID"]),
        _tasks_of_node(environ.get("SLURM_STEP_TASKS_PER_NODE", "1"), number(environ.get("SLURM_NODEID"))),
        address=environ.get("MASTER_ADDR") or first_host(environ.get("SLURM_STEP_NODELIST", "127.0.0.1")),
        port=number(environ.get("MASTER_PORT")) or of_the_step,
    )


def first_host(nodes: str) -> str:
    """Of Slurm's list of nodes, such as node[003-005,9],other: node003."""
    found = re.match(r"([^,\[]*)(?:\[([^,\]-]+)[^\]]*\]([^,\[]*))?", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes


def _tasks_of_node(text: str, node: int) -> int:
    """Of Slurm's list of tasks per node, such as 4(x2),3."""
    counts: list[int] = []
    for each, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(each)] * int(times or 1)
    return counts[node] if node < len(counts) else 1


def number(text: str | None) -> int:
    """0 for what is none."""
    return int(text) if text is not None and text.isdecimal() else 0
