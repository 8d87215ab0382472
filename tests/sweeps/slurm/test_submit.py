"""What Slurm is given: a job array with the settings, recorded in the sweep's directory; stand-ins for its commands."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission

from builders import small_config
from gan_exp.errors import UserError
from gan_exp.runs.submissions import read_submissions
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.slurm.code_state import code_state
from gan_exp.sweeps.slurm.settings import SlurmSettings, read_settings
from gan_exp.sweeps.slurm.submit import submit

JOBS = [
    Job(small_config("mlp", f"seed={seed}").model_dump(mode="json"), f"swept/{seed}", seed, f"seed={seed}")
    for seed in range(3)
]


@pytest.fixture
def cluster(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put an sbatch that runs `lines` of shell on the path; returns where it keeps the script that it was given."""
    commands = in_tmp / "commands"
    commands.mkdir()
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")

    def install(lines: str = "echo Submitted batch job 4711") -> Path:
        for name, content in (("sbatch", f"cp $1 {commands}/script\n{lines}\n"), ("srun", "")):
            (commands / name).write_text(f"#!/bin/sh\n{content}")
            (commands / name).chmod(0o755)
        return commands / "script"

    return install


def test_an_array(cluster: Callable[[], Path], in_tmp: Path) -> None:
    script = cluster()
    words = ["partition=gpu", "time=1d", "memory=16G", "cpus=2", "at_once=2", "setup=[module load x]", "extra.gres=a:1"]
    submissions = submit(JOBS, Path("swept"), read_settings([f"slurm.{word}" for word in words]))
    lines = set(script.read_text().splitlines())
    assert lines >= {
        "#SBATCH --array=0-2%2", "#SBATCH --partition=gpu", "#SBATCH --time=1440", "#SBATCH --mem=16G",
        "#SBATCH --cpus-per-task=2", "#SBATCH --signal=USR2@120", "#SBATCH --requeue", "#SBATCH --open-mode=append",
        "#SBATCH --job-name=gan-exp", "#SBATCH --gres=a:1", "module load x", "export SUBMITIT_EXECUTOR=slurm",
    }  # fmt: skip
    assert not any("--gpus" in line or "--account" in line for line in lines)  # of jobs on the CPU
    (start,) = [line for line in lines if line.startswith("srun ")]
    assert "--cpus-per-task=2" in start and f"{sys.executable} -u -m submitit.core._submit" in start
    assert [(one.job_id, one.label, one.directory) for one in submissions] == [
        (f"4711_{seed}", f"seed={seed}", str(in_tmp / f"swept/{seed}")) for seed in range(3)
    ]
    assert read_submissions(in_tmp / "swept") == submissions
    assert submissions[0].source == str(code_state())
    task = DelayedSubmission.load(in_tmp / "swept/slurm/4711_2_submitted.pkl").function
    assert task.job.go_on and task.job.directory == str(in_tmp / "swept/2") and task.job.config == JOBS[2].config


def test_one_job_on_a_gpu(cluster: Callable[[], Path]) -> None:
    """It is no array, and `device=auto` gets a GPU."""
    script = cluster()
    plain = {**JOBS[0].config, "device": {**JOBS[0].config["device"], "name": "auto"}}
    (one,) = submit([Job(plain, "run")], Path("run"), SlurmSettings())
    text = script.read_text()
    submit([Job(plain, "other")], Path("other"), SlurmSettings(extra={"gres": "gpu:a100:1"}))
    assert "#SBATCH --gres=gpu:a100:1" in script.read_text() and "gpus-per-node" not in script.read_text()
    assert one.job_id == "4711" and "#SBATCH --gpus-per-node=1" in text and "--array" not in text
    assert [found.directory for found in read_submissions(Path("run"))] == ["run"]


def test_what_slurm_refuses_leaves_nothing(
    cluster: Callable[[str], Path], in_tmp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster("echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    with pytest.raises(UserError, match=r"^--slurm: sbatch refused the jobs \(invalid partition specified: gpu\)$"):
        submit(JOBS, Path("deep/swept"), SlurmSettings())
    assert [path.name for path in in_tmp.iterdir()] == ["commands"]
    assert capfd.readouterr() == ("", "")
    cluster("echo I am not Slurm")
    with pytest.raises(UserError, match=r"^--slurm: sbatch refused the jobs \("):
        submit(JOBS, Path("deep/swept"), SlurmSettings())


def test_without_slurm(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^--slurm: there is no Slurm on this machine \(sbatch is not found\)"):
        submit(JOBS, Path("swept"), SlurmSettings())
    assert list(in_tmp.iterdir()) == []


def test_without_submitit(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"^--slurm: needs the package submitit; pip install 'gan-exp\[slurm\]'$"):
        submit(JOBS, Path("swept"), SlurmSettings(cluster="local"))
