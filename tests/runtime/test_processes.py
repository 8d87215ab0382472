"""Several processes: refused where a launcher starts them, and waiting for each other at a lock."""

import signal
from pathlib import Path

import pytest

from gan_exp.cli import main
from gan_exp.errors import UserError
from gan_exp.runtime.processes import file_lock, refuse_multiple_processes, refuse_other_launchers
from gan_exp.runtime.signals import Interrupted, recording_signals

BATCH_SCRIPT = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_NPROCS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
STEP = {**BATCH_SCRIPT, "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"WORLD_SIZE": ""},
        BATCH_SCRIPT,  # of sbatch --ntasks=4: one process
        {**STEP, "SLURM_STEP_NUM_TASKS": "1"},  # srun --ntasks=1, and salloc's own shell
        {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_ID": "0"},  # submitted from within a step
        {"SLURM_ARRAY_TASK_COUNT": "8", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_NTASKS": "1", "SUBMITIT_LOCAL_LOCALID": "0"},
    ],
)
def test_one_process(environ: dict[str, str]) -> None:
    refuse_multiple_processes("-m", environ)
    refuse_other_launchers(environ)


OTHERS = [
    ({"SUBMITIT_LOCAL_NTASKS": "2"}, "SUBMITIT_LOCAL_NTASKS=2"),
    ({"OMPI_COMM_WORLD_SIZE": "8"}, "OMPI_COMM_WORLD_SIZE=8"),
    ({"PMI_SIZE": "8"}, "PMI_SIZE=8"),
]
OURS = [
    ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE=2"),  # torchrun
    ({**STEP, "SLURM_STEP_NUM_TASKS": "4"}, "SLURM_STEP_NUM_TASKS=4"),
]


@pytest.mark.parametrize(("environ", "found"), [*OTHERS, *OURS])
def test_one_of_several(environ: dict[str, str], found: str) -> None:
    with pytest.raises(UserError, match=f"^sample: needs one process, and {found} says that this is one of several"):
        refuse_multiple_processes("sample", environ)


@pytest.mark.parametrize(("environ", "found"), OTHERS)
def test_launchers_whose_processes_don_t_find_each_other(environ: dict[str, str], found: str) -> None:
    with pytest.raises(UserError, match=f"^{found}: this is one of several processes, and each would train the same"):
        refuse_other_launchers(environ)
    for ours, _ in OURS:
        refuse_other_launchers({**environ, **ours})  # mpirun's variables may be there too


def test_only_the_first_process_says_so() -> None:
    with pytest.raises(SystemExit, match="2"):
        refuse_multiple_processes("sample", {"WORLD_SIZE": "2", "RANK": "1"})


@pytest.mark.parametrize("words", [["train"], ["train", "-m", "seed=1,2"], ["resume", "run"], ["sample", "run"]])
def test_nothing_is_written(
    words: list[str], in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert main(words) == 2
    output = capsys.readouterr().err
    assert "OMPI_COMM_WORLD_SIZE=2" in output and output.count("\n") == 1
    assert list(in_tmp.iterdir()) == []
    assert main([words[0], "--help"]) == 0 if words[0] == "train" else True


def test_a_signal_ends_the_wait_for_a_lock(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock"), recording_signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted), file_lock(tmp_path / "lock"):
            pytest.fail("the lock was taken")
    with file_lock(tmp_path / "lock"):
        pass
