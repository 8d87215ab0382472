"""Several processes that train together: killed, stopped and out of disk at any time, none is left over."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crash.processes import ended, finish, newest, start
from gan_exp.runs.checkpoint import find_fault
from gan_exp.runs.run_dir import RunDir
from started_ranks import ENDLESS, TINY, ends, srun, wait_until_they_train
from waiting import LONGEST_WAIT_S

SOON_S = 60.0  # within seconds, on a machine that is busy with other tests


@pytest.mark.slow
def test_a_full_disk_on_the_first_ends_all(tmp_path: Path) -> None:
    """One sentence, told once. With room again the run goes on."""
    run = RunDir(tmp_path / "run")
    first, second = ends(srun(tmp_path, 2, "train", *ENDLESS, "hydra.run.dir=run", file_limit=6_000))
    assert (first.returncode, second.returncode) == (1, 1) and second.stdout == second.stderr == ""
    assert first.stderr.startswith(f"gan-exp: {run.path}: the disk is full or the file too large: ")
    assert first.stderr.count("\n") == 1 and run.read_status()["state"] == "failed"


@pytest.mark.crash_long
@pytest.mark.parametrize("killed", [0, 1, 2])
def test_killed(killed: int, tmp_path: Path) -> None:
    """Each of three, while they train: the others end, the port is free, and what was saved is whole."""
    run = RunDir(tmp_path / "run")
    ranks = srun(tmp_path, 3, "train", *ENDLESS, "batch_size=6", "hydra.run.dir=run")
    wait_until_they_train(ranks, run)
    time.sleep(random.Random(killed).uniform(0, 1))
    ranks[killed].kill()
    began = time.monotonic()
    found = ends(ranks)
    assert time.monotonic() - began < SOON_S
    assert [one.returncode for one in found] == [-signal.SIGKILL if rank == killed else 1 for rank in range(3)]
    told = [one.stderr for one in found if one.stderr]
    assert len(told) == 1 and told[0].count("\n") == 1 and f"process {killed} of 3" in told[0], told
    assert "has died" in told[0] and "gan-exp resume" in told[0]
    assert find_fault(run.checkpoint(newest(run))) is None
    finish(tmp_path, "resume", "run", f"steps={newest(run) + 3}")


@pytest.mark.crash_long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_asked_to_stop_through_the_launcher(number: signal.Signals, tmp_path: Path) -> None:
    """`device.processes`: the signal goes to the command, as Ctrl-C does; all stop at one step, and may go on."""
    run = RunDir(tmp_path / "run")
    process = start(tmp_path, "train", *ENDLESS, "device.processes=2", "hydra.run.dir=run")
    wait_until_they_train([process], run)
    process.send_signal(number)
    done = ended(process, LONGEST_WAIT_S)
    assert done.returncode == 128 + number and done.stderr == ""
    assert "interrupted at step" in done.stdout.splitlines()[-1]
    assert run.read_status()["step"] == newest(run)
    finish(tmp_path, "resume", "run", f"steps={newest(run) + 3}")


@pytest.mark.crash_long
def test_nothing_is_left_when_the_launcher_is_killed(tmp_path: Path) -> None:
    """They save a checkpoint and end, and the run can go on at once."""
    run = RunDir(tmp_path / "run")
    process = start(tmp_path, "train", *ENDLESS, "device.processes=2", "hydra.run.dir=run")
    wait_until_they_train([process], run)
    process.kill()
    until = time.monotonic() + SOON_S
    while run.is_locked() or run.read_status()["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    ended(process)
    assert run.read_status()["state"] == "interrupted" and run.read_status()["step"] == newest(run)
    finish(tmp_path, "resume", "run", "device.processes=1", f"steps={newest(run) + 3}")


@pytest.mark.crash_long
def test_a_fault_in_another_is_told_by_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the traceback of the other in the log; here its loss is a class of the user's own."""
    (tmp_path / "mine.py").write_text(
        "import os\nfrom gan_exp.losses import NonSaturating\n\n\nclass Failing(NonSaturating):\n"
        "    def generator(self, *logits):\n"
        "        if os.environ['SLURM_PROCID'] == '1':\n"
        "            raise ZeroDivisionError('in the second')\n"
        "        return super().generator(*logits)\n"
    )
    run = RunDir(tmp_path / "run")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = ("loss._target_=mine.Failing", "--trust", "mine")
    first, second = ends(srun(tmp_path, 2, "train", *ENDLESS, *words, "hydra.run.dir=run"))
    assert (first.returncode, second.returncode) == (1, 1) and second.stderr == ""
    assert "process 1 of 2: ZeroDivisionError: in the second" in first.stderr and first.stderr.count("\n") == 1
    assert "raise ZeroDivisionError" in run.log.read_text()


@pytest.mark.crash_long
def test_a_divergence_is_told_once(tmp_path: Path) -> None:
    words = (*TINY, "steps=1000", "lr=1e30", "schedule=constant")
    first, second = ends(srun(tmp_path, 2, "train", *words, "hydra.run.dir=run"))
    assert (first.returncode, second.returncode) == (1, 1) and second.stderr == ""
    assert first.stderr.count("\n") == 1 and "step " in first.stderr


@pytest.mark.crash_long
def test_torchrun_is_stopped(tmp_path: Path) -> None:
    """It passes the signal on to each; the first ends first, or torchrun's next signal would cut it short."""
    run = RunDir(tmp_path / "run")
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gan_exp", "train"]
    process = subprocess.Popen(
        [*words, *ENDLESS, "hydra.run.dir=run"], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until_they_train([process], run)
    process.send_signal(signal.SIGTERM)
    done = ended(process)
    assert "interrupted at step" in done.stdout.splitlines()[-1]
    assert run.read_status()["state"] == "interrupted" and run.read_status()["step"] == newest(run)
