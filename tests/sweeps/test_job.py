"""A job trained in this process: every end of a run is an outcome, and nothing is raised."""

import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import in_each_step, small_config
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.runtime.signals import recording_signals
from gan_exp.sweeps import job as job_module
from gan_exp.sweeps.job import Job, Outcome, train
from gan_exp.training import session


def job(directory: str = "run", **values: Any) -> Job:
    plain = small_config("mlp", "steps=3", "device.threads=null").model_dump(mode="json")
    return Job({**plain, **values}, directory, 1, "seed=3", ("seed=3",))


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], Outcome]:
    """Train a job whose data raises an error."""

    def end(error: Exception) -> Outcome:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(session, "build_data", fail)
        return train(job())

    return end


def test_a_job_finishes_and_goes_on(in_tmp: Path) -> None:
    assert train(job()) == Outcome(0)
    assert job().run.read_status()["state"] == "finished"
    again = train(job())
    assert (again.code, again.can_go_on) == (2, False) and "holds a run already" in again.cause
    going_on = pickle.loads(pickle.dumps(Job(job().config, "run", go_on=True)))
    before = job().run.metrics.read_bytes()
    assert train(going_on) == Outcome(0)
    assert job().run.metrics.read_bytes() == before
    other = train(Job(job(seed=5).config, "run", go_on=True))
    assert other.code == 2 and "seed: run was begun with seed=" in other.cause


def test_an_unexpected_fault_has_its_traceback_where_the_job_prints(
    ending: Callable[[Exception], Outcome], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(KeyError("lost")) == Outcome(1, "KeyError: 'lost'", can_go_on=True)
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_in_training_too(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in the loop")

    in_each_step(monkeypatch, fail)
    outcome = train(job())
    assert (outcome.code, outcome.can_go_on) == (1, True) and "ZeroDivisionError: in the loop" in outcome.cause
    assert "Traceback" in capsys.readouterr().err


def test_a_divergence_would_diverge_again(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config("mlp", "steps=9", "lr=1e30").model_dump(mode="json")
    outcome = train(Job(config, "run"))
    assert (outcome.code, outcome.can_go_on) == (1, False)
    assert "Traceback" not in capsys.readouterr().err


def test_bad_input_is_refused(in_tmp: Path) -> None:
    outcome = train(job(steps=0))
    assert (outcome.code, outcome.can_go_on) == (2, False) and outcome.cause.startswith("steps=0: ")
    assert list(in_tmp.iterdir()) == []


def test_a_signal_interrupts(ending: Callable[[Exception], Outcome], in_tmp: Path) -> None:
    with recording_signals():
        signal.raise_signal(signal.SIGTERM)
        assert train(job()) == Outcome(143, "interrupted by SIGTERM", can_go_on=False)
    assert list(in_tmp.iterdir()) == []


def test_its_own_modules_are_trusted_while_it_trains(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(session, "start_run", lambda *_, **__: seen.append(os.environ.get(TRUST_VARIABLE)))
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    train(Job(job().config, "run", trusted=("mine", "yours")))
    monkeypatch.setenv(TRUST_VARIABLE, "theirs")
    train(Job(job().config, "run", trusted=("mine",)))
    assert seen == ["mine,yours", "theirs,mine"] and os.environ[TRUST_VARIABLE] == "theirs"


def test_threads_are_given_where_nobody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert job().with_threads(3) == job()
    monkeypatch.setenv("OMP_NUM_THREADS", "many")  # no number chooses none
    assert job().with_threads(3).config["device"]["threads"] == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    given = job().with_threads(3)
    assert given.config["device"]["threads"] == 3 and given.with_threads(4) == given


def test_another_process_may_still_be_saving_the_run(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a sweep whose own process was killed a moment ago."""
    assert train(job()) == Outcome(0)
    lock = job().run.locked()
    waited: list[float] = []

    def wait(seconds: float) -> None:
        if not waited:
            lock.__exit__(None, None, None)
        waited.append(seconds)

    monkeypatch.setattr("gan_exp.sweeps.job.time.sleep", wait)
    lock.__enter__()
    assert train(Job(job(steps=4).config, "run", go_on=True)) == Outcome(0) and len(waited) == 1
    monkeypatch.setattr(job_module, "PATIENCE_S", 0.0)
    with job().run.locked():
        outcome = train(Job(job(steps=5).config, "run", go_on=True))
    assert outcome.code == 2 and "is training it" in outcome.cause


def test_its_name() -> None:
    assert str(job()) == "1: seed=3" and str(Job({}, "run", 2)) == "2"
