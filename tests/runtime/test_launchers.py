"""What torchrun's and Slurm's variables say about the place of a process."""

import pytest

from gan_exp.errors import UserError
from gan_exp.runtime.launchers import Place, first_host, place

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "2",
}
SRUN = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4,2",
    "SLURM_STEP_NODELIST": "node[003,007]",
}


def test_of_torchrun() -> None:
    assert place(TORCHRUN) == Place(3, 4, 1, 2, "node1", 29500, agent_listens=True, attempt="2")


def test_of_srun() -> None:
    found = place(SRUN)
    assert found is not None and found == Place(5, 6, 1, 2, "node003", found.port) and 20_000 <= found.port < 30_000
    other = place({**SRUN, "SLURM_STEP_ID": "1"})
    assert other is not None and other.port != found.port  # two steps of a job at the same time
    assert place({**SRUN, "MASTER_ADDR": "here", "MASTER_PORT": "7"}) == Place(5, 6, 1, 2, "here", 7)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1"},  # salloc's own shell
        {name: value for name, value in SRUN.items() if name != "SLURM_STEP_NUM_TASKS"},  # sbatch --ntasks=6
    ],
)
def test_one_process(environ: dict[str, str]) -> None:
    assert place(environ) is None


def test_torchrun_within_srun() -> None:
    assert place({**SRUN, **TORCHRUN}) == place(TORCHRUN)


def test_a_leftover() -> None:
    with pytest.raises(UserError, match=r"^WORLD_SIZE=4: RANK is not set"):
        place({"WORLD_SIZE": "4"})


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("node7", "node7"), ("a1,b2", "a1"), ("n[3-5,9],x", "n3"), ("n[03,7]-ib", "n03-ib"), ("127.0.0.1", "127.0.0.1")],
)
def test_first_host(nodes: str, host: str) -> None:
    assert first_host(nodes) == host


@pytest.mark.parametrize(("tasks", "node", "count"), [("4(x2),3", 1, 4), ("4(x2),3", 2, 3), ("2", 0, 2)])
def test_processes_of_this_machine(tasks: str, node: int, count: int) -> None:
    found = place({**SRUN, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": str(node)})
    assert found is not None and found.local_count == count
