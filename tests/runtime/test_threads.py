"""The number of threads: found by playing, kept with the run, and never where somebody has said it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from builders import assert_same, small_config
from gan_exp.config.schema import Config
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime import threads as threads_module
from gan_exp.training import session as session_module
from gan_exp.training.build import build_data, build_state
from gan_exp.training.session import _with_threads, start_run

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads_module, "ALL", 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def choose(config: Config) -> tuple[Config, str | None]:
    return _with_threads(config, build_data(config, CPU), CPU)


def steps_take(monkeypatch: pytest.MonkeyPatch, times: dict[int, list[float]], share: float = 1.0) -> list[int]:
    """Seconds with each number of threads in each round, and the share a thread computes; what was tried."""
    left = {threads: iter(seconds) for threads, seconds in times.items()}
    tried: list[int] = []

    def time_slice(_: object) -> tuple[float, float]:
        threads = torch.get_num_threads()
        tried.append(threads)
        taken = next(left[threads])
        return taken, share * taken

    monkeypatch.setattr(session_module, "trial_step", lambda *_: lambda: None)
    monkeypatch.setattr(threads_module, "_time_slice", time_slice)
    return tried


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({1: [20] * 5, 2: [12] * 5, 4: [10] * 5}, 4),
        ({1: [20] * 5, 2: [11] * 5, 4: [20] * 5}, 2),
        ({1: [20] * 5, 2: [19] * 5, 4: [12] * 5}, 4),  # though two are hardly worth it
        ({1: [10.0] * 5, 2: [9.5] * 5, 4: [9.1] * 5}, 1),  # not worth it
        ({1: [10] * 5, 2: [11] * 5, 4: [6, 6, 60, 6, 6]}, 4),  # disturbed once
    ],
)
def test_the_fewest_that_no_larger_number_beats(
    times: dict[int, list[float]], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_take(monkeypatch, times)
    config, line = choose(small_config("mlp"))
    assert config.device.threads == torch.get_num_threads() == chosen
    middle = {threads: sorted(seconds)[2] * 1000 for threads, seconds in times.items()}
    told = f"1: {middle[1]:.1f} ms, 2: {middle[2]:.1f} ms, 4: {middle[4]:.1f} ms"
    assert line == f"threads: {chosen} (a step takes with {told})"


def test_a_moment_of_quiet_does_not_choose_for_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads are twice as fast where nobody disturbs them, and five times slower else."""
    steps_take(monkeypatch, {1: [10] * 5, 2: [5, 50, 5, 50, 5], 4: [5, 80, 80, 80, 5]})
    assert choose(small_config("mlp"))[0].device.threads == 1


def test_one_where_even_one_has_no_core_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(monkeypatch, {1: [30] * 5, 2: [10] * 5, 4: [10] * 5}, share=0.5)
    config, line = choose(small_config("mlp"))
    assert config.device.threads == torch.get_num_threads() == 1
    assert line is not None and line.endswith("; other programs keep the cores busy)")


def test_they_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes and goes on the machine falls on all numbers alike."""
    tried = steps_take(monkeypatch, {threads: [1] * 5 for threads in (1, 2, 4)})
    choose(small_config("mlp"))
    assert tried == [1, 2, 4, 4, 2, 1, 1, 2, 4, 4, 2, 1, 1, 2, 4]


def test_long_steps_are_played_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(threads_module.time, "perf_counter", lambda: 0.7 * next(clock))
    tried = steps_take(monkeypatch, {1: [9, 9, 9], 2: [5, 5, 5], 4: [9, 9, 9]})
    assert choose(small_config("mlp"))[0].device.threads == 2 and len(tried) == 9


def test_a_slice_lasts_a_while_and_a_step_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that each step moves on, and another that moves as long as this thread computes."""
    now = {"wall": 0.0, "computed": 0.0}

    def train_step(seconds: float) -> None:
        now["wall"] += seconds
        now["computed"] += seconds / 4

    monkeypatch.setattr(threads_module.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(threads_module.time, "thread_time", lambda: now["computed"])
    for seconds, steps in ((0.02, 3), (0.3, 1)):
        before = now["wall"]
        assert threads_module._time_slice(lambda: train_step(seconds)) == pytest.approx((seconds, seconds / 4))  # noqa: B023
        assert now["wall"] - before == pytest.approx(steps * seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_and_rules",
    [
        ["mlp"],
        ["dcgan", "conditional=true", "augment=ada", "penalty=r1", "n_critic=2"],
        ["mlp", "loss=rpgan", "penalty=wgan_gp", "instance_noise=0.1"],
    ],
    ids=" ".join,
)
def test_real_steps_of_any_game_are_timed(model_and_rules: list[str]) -> None:
    config, line = choose(small_config(*model_and_rules))
    assert config.device.threads in (1, 2, 4) and line is not None and line.count(" ms") == 3


@pytest.mark.slow
def test_the_runs_own_game_is_as_its_seed_says() -> None:
    config = small_config("mlp")
    spec = build_data(config, CPU).spec
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    choose(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second = build_state(config, spec, CPU), build_state(config, spec, CPU)
    choose(config)
    assert_same(first.generator.state_dict(), second.generator.state_dict())


@pytest.mark.parametrize("override", ["device.threads=3", "device.deterministic=true"])
def test_nothing_is_timed_where_it_is_said(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "_time_slice", pytest.fail)
    config = small_config("mlp", override)
    assert choose(config) == (config, None)


def test_nothing_is_timed_where_the_environment_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads_module, "_time_slice", pytest.fail)
    config = small_config("mlp")
    assert choose(config) == (config, None)


@pytest.mark.slow
def test_a_run_keeps_what_it_chose(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the same configuration, and a resumed run, add up in the same order whatever the load is then."""
    steps_take(monkeypatch, {4: [3.0] * 5, 2: [1.0] * 5, 1: [2.0] * 5})
    start_run(small_config("mlp", "steps=2"), "run")
    run = RunDir.open("run")
    assert run.read_config()["device"]["threads"] == 2
    assert "threads: 2 (" in run.log.read_text()
    assert json.loads(run.status.read_text())["state"] == "finished"
    # The next run of the same process, as in a sweep, starts from all of them again.
    steps_take(monkeypatch, {4: [1.0] * 5, 2: [2.0] * 5, 1: [2.0] * 5})
    start_run(small_config("mlp", "steps=2"), "second")
    assert RunDir.open("second").read_config()["device"]["threads"] == 4
