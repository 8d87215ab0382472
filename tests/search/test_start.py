from typing import Any

import pytest

from fake_jobs import FakeJobs, distance_from
from gan_exp.search.start import Starter
from gan_exp.sweeps import process
from gan_exp.sweeps.job import Job, Outcome
from gan_exp.sweeps.plan import Plan


def test_each_run_gets_the_gpu_that_is_least_used(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, asked = FakeJobs(distance_from(1.0)), []

    def start(job: Job, threads: int | None, gpu: str | None) -> Any:
        asked.append((threads, gpu))
        return jobs(job)

    monkeypatch.setattr(process, "start", start)
    monkeypatch.setattr("fake_jobs.FakeJob._advance", lambda fake: None)
    starter = Starter(Plan(at_once=3, most_threads=4, gpus=("0", "1")))
    running = [starter(Job({}, "")) for _ in range(3)]
    running[1].outcome = Outcome(0)  # type: ignore[attr-defined]
    starter(Job({}, ""))
    assert asked == [(4, "0"), (4, "1"), (4, "0"), (4, "1")]


def test_on_a_cpu_a_single_run_chooses_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(process, "start", lambda *given: asked.append(given))
    Starter(Plan(at_once=1, most_threads=4))(Job({}, ""))
    assert asked[0][1:] == (None, None)
