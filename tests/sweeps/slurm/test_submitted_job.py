"""A job that is preempted is requeued by submitit's own handler, and its run ends as one never stopped."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission, UncompletedJobError
from submitit.local.local import LOCAL_REQUEUE_RETURN_CODE, LocalJobEnvironment

from builders import in_each_step, small_config
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.submissions import FOLDER, Submission, read_submissions, read_word, write_submissions
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.slurm import submitted_job
from gan_exp.sweeps.slurm.code_state import CodeState, code_state
from gan_exp.sweeps.slurm.submitted_job import SubmittedJob
from gan_exp.training.session import start_run
from gan_exp.training.state import TrainingState
from whole_runs import RHYTHM, assert_same_run

CONFIG = small_config("mlp", *RHYTHM)
ID = "17"


@pytest.fixture
def submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is one that submitit has started; the folder of the submission."""
    for name, value in {
        "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": ID, "SUBMITIT_LOCAL_NTASKS": "1",
        "SUBMITIT_LOCAL_GLOBALID": "0", "SUBMITIT_FOLDER": str(tmp_path / FOLDER),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / FOLDER).mkdir()
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)}
    yield tmp_path / FOLDER
    for number, handler in before.items():
        signal.signal(number, handler)


def make_job(submission: Path, code: CodeState | None = None, **changes: Any) -> SubmittedJob:
    job = Job({**CONFIG.model_dump(mode="json"), **changes}, str(submission.parent / "run"), label="seed=0", go_on=True)
    write_submissions(submission.parent, [Submission(ID, job.number, job.label, job.directory, 0.0)])
    return SubmittedJob(job, code or code_state(), str(submission))


def run_by_submitit(task: SubmittedJob, timeouts: int = 3) -> tuple[int, DelayedSubmission | None]:
    """What submitit does in the process of a job; the exit code, and what it would run when the job is requeued."""
    delayed = DelayedSubmission(task)
    delayed.set_timeout(60, timeouts)
    environment = LocalJobEnvironment()
    environment._handle_signals(environment.paths, delayed)
    code = 0
    try:
        delayed.result()
    except SystemExit as ended:
        code = int(str(ended.code))
    pickle = environment.paths.submitted_pickle
    return code, DelayedSubmission.load(pickle) if pickle.exists() else None


def signals_at(step: int, *numbers: int) -> Callable[[TrainingState], None]:
    def send(state: TrainingState) -> None:
        if state.step == step:
            for number in numbers:
                signal.raise_signal(number)

    return send


def state_of(submission: Path) -> tuple[str, int | None, str]:
    (one,) = read_submissions(submission.parent)
    return one.state, one.code, one.cause


@pytest.mark.parametrize("arriving", [(signal.SIGUSR2,), (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR2)])
def test_a_preempted_job_continues_exactly(
    arriving: tuple[int, ...], submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = in_each_step(monkeypatch, signals_at(6, *arriving))
    task = make_job(submission)
    assert state_of(submission) == ("queued", None, "")
    code, again = run_by_submitit(task)
    undo()
    run = RunDir(tmp_path / "run")
    assert code == LOCAL_REQUEUE_RETURN_CODE and state_of(submission)[0] == "requeued"
    assert (run.read_status()["state"], run.read_status()["step"]) == ("interrupted", 7)
    assert again is not None and again.function == task
    assert run_by_submitit(again.function)[0] == 0 and state_of(submission) == ("ended", 0, "")
    start_run(CONFIG, str(tmp_path / "whole"))
    assert_same_run(run, RunDir(tmp_path / "whole"))


def test_too_many_timeouts(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_each_step(monkeypatch, signals_at(2, signal.SIGUSR2))
    monkeypatch.setattr(SignalHandler, "has_timed_out", lambda _: True)
    with pytest.raises(UncompletedJobError):
        run_by_submitit(make_job(submission), timeouts=0)
    assert state_of(submission) == ("ended", 1, "Job not requeued because: timed-out too many times.")


def test_a_sigterm_that_nothing_follows(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm gives a preempted job a while: a checkpoint is saved, and the time used."""
    slept = []
    monkeypatch.setattr(submitted_job, "_sleep", slept.append)
    in_each_step(monkeypatch, signals_at(6, signal.SIGTERM))
    assert run_by_submitit(make_job(submission)) == (0, None)
    assert slept == [submitted_job.PATIENCE_S]


def test_a_signal_of_the_user_ends_it(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """scancel --signal=INT saves a checkpoint and requeues nothing."""
    in_each_step(monkeypatch, signals_at(6, signal.SIGINT))
    assert run_by_submitit(make_job(submission)) == (130, None)
    assert state_of(submission) == ("ended", 130, "interrupted by SIGINT")


def test_a_refused_job_fails_in_slurm_too(submission: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_by_submitit(make_job(submission, lr=-1.0)) == (2, None)
    assert state_of(submission) == ("ended", 2, "lr=-1.0: must be greater than 0")
    assert "lr=-1.0: must be greater than 0" in capfd.readouterr().err


def test_code_that_has_changed_is_told(submission: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = CodeState("0.9", "abcdef0123456789", "f" * 64)
    run_by_submitit(make_job(submission, before, lr=-1.0))
    warning = capfd.readouterr().err.splitlines()[0]
    assert warning.startswith(
        "gan-exp: the code has changed since this job was submitted (gan-exp 0.9, commit abcdef012"
    )
    assert read_word(submission, ID)["note"] in warning
