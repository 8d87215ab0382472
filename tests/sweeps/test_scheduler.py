"""Jobs are kept going, so many at once; a signal or a failure stops the others where that is asked for."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gan_exp.runtime.signals import recording_signals
from gan_exp.sweeps import scheduler
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan
from gan_exp.sweeps.scheduler import run_jobs

Act = Callable[["FakeProcess"], None]


class FakeProcess:
    """Ends at its second poll, or when it is stopped; its sentinel is always ready."""

    running: list["FakeProcess"] = []  # noqa: RUF012
    most = 0

    def __init__(self, job: Job, threads: int | None, gpu: str | None, outcome: Outcome) -> None:
        self.job, self.threads, self.gpu = job, threads, gpu
        self.stopped: list[int] = []
        self._outcome, self._polls = outcome, 0
        self.sentinel, writer = os.pipe()
        os.close(writer)
        self.running.append(self)
        FakeProcess.most = max(self.most, len(self.running))

    def poll(self) -> Outcome | None:
        self._polls += 1
        if not self.stopped and self._polls < 2 + self.job.number % 2:
            return None
        self.running.remove(self)
        os.close(self.sentinel)
        return Outcome(143, "interrupted", can_go_on=True) if self.stopped else self._outcome

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.stopped.append(number)


class Watcher:
    def __init__(self, act: Act | None = None) -> None:
        self.begun: list[Any] = []
        self.done: list[int] = []
        self._act = act

    def started(self, process: Any) -> None:
        self.begun.append(process)
        if self._act is not None:
            self._act(process)

    def ended(self, job: Job, outcome: Outcome) -> None:
        self.done.append(job.number)

    def look(self, running: Sequence[Any]) -> None:
        assert list(running) == FakeProcess.running


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[int, Outcome]:
    """The outcomes of jobs that don't finish, by number."""
    outcomes: dict[int, Outcome] = {}
    FakeProcess.running, FakeProcess.most = [], 0

    def start(job: Job, threads: int | None, gpu: str | None) -> FakeProcess:
        return FakeProcess(job, threads, gpu, outcomes.get(job.number, Outcome(0)))

    monkeypatch.setattr(scheduler, "start", start)
    return outcomes


JOBS = [Job({}, str(number), number) for number in range(6)]


def test_a_free_place_is_taken_at_once() -> None:
    watcher = Watcher()
    outcomes = run_jobs(JOBS, Plan(2, 3, gpus=("4", "7")), watcher)
    assert outcomes == dict.fromkeys(range(6), Outcome(0)) and sorted(watcher.done) == list(range(6))
    assert FakeProcess.most == 2
    assert {(process.gpu, process.threads) for process in watcher.begun} == {("4", 3), ("7", 3)}
    assert len({process.gpu for process in watcher.begun[:2]}) == 2


def test_a_failure_stops_nothing_or_all(fakes: dict[int, Outcome]) -> None:
    fakes[0] = Outcome(-9, "killed", can_go_on=True)
    outcomes = run_jobs(JOBS, Plan(2, 1), Watcher())
    assert len(outcomes) == 6 and [number for number, one in outcomes.items() if one.failed] == [0]
    watcher = Watcher()
    outcomes = run_jobs(JOBS, Plan(2, 1), watcher, stop_on_failure=True)
    assert outcomes == {0: fakes[0], 1: Outcome(143, "interrupted", can_go_on=True)}
    assert watcher.begun[1].stopped[0] == signal.SIGTERM


def test_a_signal_is_passed_on_and_nothing_else_begins() -> None:
    with recording_signals():
        watcher = Watcher(lambda process: signal.raise_signal(signal.SIGUSR1) if process.job.number == 1 else None)
        outcomes = run_jobs(JOBS, Plan(3, 1), watcher)
    assert sorted(outcomes) == [0, 1] and all(outcome.can_go_on for outcome in outcomes.values())
    assert {number for process in watcher.begun for number in process.stopped} == {signal.SIGUSR1}


def test_an_error_leaves_no_process_behind() -> None:
    def fail(process: FakeProcess) -> None:
        if process.job.number == 1:
            raise OSError("nothing can be shown")

    watcher = Watcher(fail)
    with pytest.raises(OSError):
        run_jobs(JOBS, Plan(2, 1), watcher)
    assert [process.stopped for process in watcher.begun] == [[signal.SIGTERM]] * 2
    for process in FakeProcess.running:
        os.close(process.sentinel)
