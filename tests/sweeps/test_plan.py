"""How many runs train at once: what cores, memory and GPUs allow, or what the user says."""

from typing import Any

import pytest

from builders import small_config
from gan_exp.sweeps import plan as plan_module
from gan_exp.sweeps.job import Job
from gan_exp.sweeps.plan import STARTING_S, Plan, make_plan
from gan_exp.sweeps.trial import Trial, kind_of, try_steps

CONFIG = small_config("mlp", "steps=100", "device.threads=null").model_dump(mode="json")
GIGABYTE = 2**30


def jobs(count: int, **device: Any) -> list[Job]:
    config = {**CONFIG, "device": {**CONFIG["device"], **device}}
    return [Job({**config, "seed": number}, str(number), number) for number in range(count)]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, 16 GiB, no GPU; a step takes 10 ms, and a job 3 GiB."""
    monkeypatch.setattr(plan_module, "usable_cores", lambda: 8)
    monkeypatch.setattr(plan_module, "available_memory", lambda: 16 * GIGABYTE)
    monkeypatch.setattr(plan_module, "_time_steps", lambda jobs, plan: {kind_of(CONFIG): Trial(0.01, 1, 3 * GIGABYTE)})


@pytest.mark.parametrize(
    ("count", "wanted", "memory", "at_once"),
    [
        (12, None, 1000, 8),  # as many as cores
        (3, None, 1000, 3),  # no more than there are
        (12, None, 16, 4),  # within the memory: 3 of 0.8 * 16 GiB each
        (12, None, 1, 1),
        (12, None, None, 8),  # the system doesn't say
        (12, 6, 16, 6),  # the user decides
        (2, 6, 16, 2),
    ],
)
def test_how_many_on_a_cpu(
    count: int, wanted: int | None, memory: int | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "available_memory", lambda: memory and memory * GIGABYTE)
    assert make_plan(jobs(count), wanted).at_once == at_once


@pytest.mark.parametrize(("threads", "variable", "at_once"), [(4, "1", 2), (None, "3", 2), (None, "", 8), (16, "", 1)])
def test_threads_that_are_set_count(
    threads: int | None, variable: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert make_plan(jobs(12, threads=threads), None, timed=False).at_once == at_once


def test_cores_are_divided_and_a_single_run_has_them_all() -> None:
    assert make_plan(jobs(12), 2, timed=False) == Plan(2, 4)
    assert Plan(2, 4).threads(jobs(1)[0]) == 4 and Plan(1, 8).threads(jobs(1)[0]) is None
    assert make_plan(jobs(12), 2).threads(jobs(1)[0]) == 1  # the fastest by the timed steps


@pytest.mark.parametrize(
    ("visible", "device", "wanted", "expected"),
    [
        (None, {"name": "auto"}, None, Plan(3, 2, ("0", "1", "2"))),
        ("5,MIG-1", {"name": "cuda"}, None, Plan(2, 4, ("5", "MIG-1"))),
        ("5", {"name": "cuda"}, None, Plan(1, 8)),
        ("5", {"name": "cuda"}, 4, Plan(4, 2)),  # several on one GPU
        (None, {"name": "cpu"}, None, Plan(8, 1)),
        (None, {"name": "cuda", "index": 1}, None, Plan(1, 8)),  # all on that one
    ],
)
def test_one_run_for_each_gpu(
    visible: str | None, device: dict[str, Any], wanted: int | None, expected: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv(plan_module.GPU_VARIABLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(plan_module.GPU_VARIABLE, visible)
    assert make_plan(jobs(12, **device), wanted, timed=False) == expected


def test_the_time_of_a_run() -> None:
    job = jobs(1)[0]
    assert make_plan([job], None).seconds(job, 50) == pytest.approx(STARTING_S + 0.5)
    other = Job({**CONFIG, "batch_size": 1000}, "x")
    assert make_plan([job], None).step_seconds(other) == pytest.approx(0.01)  # not timed: the mean of the others


def test_kinds() -> None:
    assert kind_of(CONFIG) == kind_of({**CONFIG, "lr": 0.5, "seed": 9, "steps": 7})
    assert kind_of(CONFIG) != kind_of({**CONFIG, "batch_size": 17})


def test_steps_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_exp.sweeps.process.print_into", lambda path: None)
    trial = try_steps(jobs(1)[0], 1)
    assert trial is not None and trial.step_seconds > 0 and trial.threads is None and (trial.memory or 1) > 0
    assert try_steps(Job({**CONFIG, "steps": -1}, "x"), 1) is None  # the job itself will tell
