"""--slurm of train and resume, with submitit's executor of this machine in the place of Slurm."""

import os
import signal
from pathlib import Path

import pytest

import slurm_commands
from builders import refused
from gan_exp.cli import main
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.submissions import FOLDER, Submission, read_submissions, write_submissions
from gan_exp.sweeps.job import Job
from whole_runs import assert_same_run

LOCAL = ["--slurm", "slurm.cluster=local"]
SWEPT = ["hydra.sweep.dir=swept"]
# A user's own loss: where a file of that name lies, its fifth step sends the signal of a preemption, or waits for one.
LOSS = """
import os, signal, time
from pathlib import Path

from gan_exp.losses import NonSaturating
from gan_exp.runtime.signals import asked_to_stop

class Loss(NonSaturating):
    calls = 0

    def generator(self, real_logits, fake_logits):
        self.calls += 1
        if self.calls == 5 and Path("preempt").exists():
            Path("preempt").unlink()
            os.kill(os.getpid(), signal.SIGUSR2)
        while self.calls == 5 and Path("wait").exists():
            time.sleep(0.01)
            if asked_to_stop() is not None:
                Path("wait").unlink()
        return super().generator(real_logits, fake_logits)
"""


@pytest.fixture
def words(in_tmp: Path, tiny: list[str]) -> list[str]:
    """Of a run with that loss, 9 steps long."""
    Path("conf/loss").mkdir(parents=True)
    Path("conf/loss/mine.yaml").write_text("_target_: loss_of_mine.Loss")
    Path("loss_of_mine.py").write_text(LOSS)
    return [*tiny[1:], "steps=9", "loss=mine", "--config-dir", "conf", "--trust", "loss_of_mine", "device=cpu"]


def log_of(place: str, number: int) -> str:
    job_id = read_submissions(Path(place))[number].job_id
    return (Path(place) / FOLDER / f"{job_id}_0_log.out").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["local", pytest.param("slurm", marks=pytest.mark.crash_long)])
def test_a_preempted_job_of_a_sweep_is_requeued(
    cluster: str, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with the run that trains here, bit for bit; the other job fails, and that is the exit code."""
    slurm_commands.install(Path("commands").absolute())
    monkeypatch.setenv("PATH", f"{Path('commands').absolute()}:{os.environ['PATH']}")
    Path("preempt").touch()
    rates = "optimizer.generator.lr=1e-3,1e30"
    assert main(["train", "-m", "--slurm", f"slurm.cluster={cluster}", "--wait", *words, rates, *SWEPT]) == 1
    printed = capsys.readouterr().out.splitlines()
    whom = {"local": "this machine, through submitit: ", "slurm": "Slurm: 4711_0, 4711_1"}[cluster]
    assert printed[0].startswith(f"submitted 2 jobs to {whom}") and printed[1].endswith("logs: swept/slurm/")
    assert "run 0 (optimizer.generator.lr=0.001): finished" in printed
    (end,) = [line for line in printed if line.startswith("run 1 (") and "training has diverged" in line]
    assert "(log: swept/slurm/" in end
    assert "sweep: 1 of 2 runs finished, 1 failed (1: optimizer.generator.lr=1e+30)" in printed
    log = log_of("swept", 0)
    assert not Path("preempt").exists() and "Requeued job" in log and "resuming" in log
    assert main(["train", *words, rates.partition(",")[0], "hydra.run.dir=whole"]) == 0
    assert_same_run(RunDir("swept/0-optimizer.generator.lr=0.001"), RunDir("whole"))


@pytest.mark.crash_long
def test_a_job_whose_time_is_over_is_requeued(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """submitit sends the signal 20 s after the start, 40 s before it would kill the job."""
    Path("wait").touch()
    times = ["slurm.time=1m", "slurm.warning_seconds=40"]
    assert main(["train", *LOCAL, *times, "--wait", *words, "--continue", "run"]) == 0
    assert "this job is timed-out" in log_of("run", 0) and "99 remaining timeouts" in log_of("run", 0)
    assert main(["train", *words, "hydra.run.dir=whole"]) == 0
    assert_same_run(RunDir("run"), RunDir("whole"))


def test_what_is_on_the_cluster_is_left_alone(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming submits what is lost only: a job that nobody has seen end, and that the cluster knows, is not."""
    submitted: list[Job] = []
    one = Submission("7", 0, "", str(run.absolute()), 0.0)
    monkeypatch.setattr("gan_exp.sweeps.slurm.submit.submit", lambda jobs, *_: submitted.extend(jobs) or [one])
    write_submissions(run, [one])
    monkeypatch.setattr("gan_exp.sweeps.slurm.follow.known_to_cluster", lambda _: {"7"})
    assert main(["resume", "run", *LOCAL, "steps=9"]) == 0
    assert capsys.readouterr().out == "1 job queued or running on the cluster still: 7\n" and not submitted
    assert "run: 1 job of it queued or running on the cluster still (7); end them first" in refused(
        ["resume", "run", "steps=9"], capsys
    )
    lost = Submission("8", 0, "", "lost", 0.0, config=RunDir(run).read_config())
    write_submissions(Path("lost"), [lost])
    assert main(["resume", "lost", *LOCAL]) == 0 and submitted.pop().config == lost.config
    capsys.readouterr()
    assert main(["resume", "run", *LOCAL]) == 0
    assert capsys.readouterr().out == "run is finished (4 steps)\n" and not submitted


def test_the_jobs_outlive_who_waits(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def submitting(jobs: list[Job], place: Path, _: object) -> list[Submission]:
        submissions = [Submission("7", job.number, job.label, job.directory, 0.0, "local") for job in jobs[:1]]
        write_submissions(place, submissions)
        signal.raise_signal(signal.SIGINT)
        return submissions

    monkeypatch.setattr("gan_exp.sweeps.slurm.submit.submit", submitting)
    for more in (["-m", "seed=1,2"], []):
        assert main(["train", *more, *LOCAL, "--wait", *words, "--continue", "there"]) == 130
        output = capsys.readouterr()
        assert output.out.splitlines()[-1] == "the jobs go on; gan-exp runs there shows how" and output.err == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--slurm"], "--slurm: there is no Slurm on this machine (sbatch is not found)"),
        (["train", "-m", "--slurm", "seed=1,2"], "--slurm: there is no Slurm on this machine"),
        (["train", "--again", "run", "--slurm"], "--slurm: there is no Slurm on this machine"),
        (["resume", "run", "--slurm"], "--slurm: there is no Slurm on this machine"),
        (["train", *LOCAL, "slurm.time=soon"], "slurm.time=soon: must be a time"),
        (["train", *LOCAL, "slurm.tim=4h"], "slurm.tim: unknown key; did you mean slurm.time?"),
        (["train", "--slurm=nowhere.yaml"], "--slurm=nowhere.yaml: can't be read"),
        (["train", "--slurm", "cluster.yaml"], "--slurm cluster.yaml: is written --slurm=cluster.yaml"),
        (["train", "--slurm", "--wait=3"], "--wait=3: --wait takes no value"),
        (["train", "--slurm="], "--slurm=: needs a YAML file"),
        (["train", "slurm.time=4h"], "slurm.time=4h: says how a cluster trains; it needs --slurm"),
        (["train", "--wait"], "--wait: says how a cluster trains; it needs --slurm"),
        (["train", "-m", *LOCAL, "--on-failure", "stop", "seed=1,2"], "--on-failure stop: the jobs of a cluster"),
        (["train", *LOCAL, "lr=-1"], "lr=-1: must be greater than 0"),
        (["resume", "run", *LOCAL, "lr=1"], "/run was begun with lr=0.001"),
    ],
)
def test_refusals(
    words: list[str], sentence: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path().rglob("*"))
    monkeypatch.setenv("PATH", "")
    assert sentence in refused(words, capsys)
    assert sorted(Path().rglob("*")) == before
