"""The number of threads: chosen by timing, saved with the run, and not chosen where it is given."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from builders import assert_same, small_config
from gan_exp.config.schema import Config
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime import threads as threads_module
from gan_exp.training import decisions
from gan_exp.training.build import build_data, build_state
from gan_exp.training.session import start_run

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads_module, "ALL", 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def choose(config: Config) -> tuple[Config, str | None]:
    return decisions.decide_threads(config, build_data(config, CPU), CPU, str)


def steps_take(monkeypatch: pytest.MonkeyPatch, times: dict[int, list[float]], share: float = 1.0) -> list[int]:
    """Let steps take `times` seconds by number of threads and round; returns the numbers that are timed."""
    left = {threads: iter(seconds) for threads, seconds in times.items()}
    tried: list[int] = []

    def time_slice(_: object) -> tuple[float, float]:
        threads = torch.get_num_threads()
        tried.append(threads)
        taken = next(left[threads])
        return taken, share * taken

    monkeypatch.setattr(decisions, "trial_step", lambda *_: lambda: None)
    monkeypatch.setattr(threads_module, "_time_slice", time_slice)
    return tried


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({1: [20] * 5, 2: [12] * 5, 4: [10] * 5}, 4),
        ({1: [20] * 5, 2: [11] * 5, 4: [20] * 5}, 2),
        ({1: [20] * 5, 2: [19] * 5, 4: [12] * 5}, 4),  # although two gain little
        ({1: [10.0] * 5, 2: [9.5] * 5, 4: [9.1] * 5}, 1),  # gains too small
        ({1: [10] * 5, 2: [11] * 5, 4: [6, 6, 60, 6, 6]}, 4),  # disturbed once
    ],
)
def test_the_fewest_threads_that_no_larger_number_clearly_beats(
    times: dict[int, list[float]], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_take(monkeypatch, times)
    config, line = choose(small_config("mlp"))
    assert config.device.threads == torch.get_num_threads() == chosen
    middle = {threads: sorted(seconds)[2] * 1000 for threads, seconds in times.items()}
    output = f"{middle[1]:.1f} ms with 1, {middle[2]:.1f} ms with 2, {middle[4]:.1f} ms with 4"
    assert line == f"threads: {chosen} (a step takes {output})"


def test_a_quiet_moment_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads are twice as fast undisturbed, and five times slower otherwise."""
    steps_take(monkeypatch, {1: [10] * 5, 2: [5, 50, 5, 50, 5], 4: [5, 80, 80, 80, 5]})
    assert choose(small_config("mlp"))[0].device.threads == 1


def test_one_thread_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(monkeypatch, {1: [30] * 5, 2: [10] * 5, 4: [10] * 5}, share=0.5)
    config, line = choose(small_config("mlp"))
    assert config.device.threads == torch.get_num_threads() == 1
    assert line is not None and line.endswith("; other programs keep the cores busy)")


def test_numbers_are_timed_alternately(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disturbance of the machine affects all numbers equally."""
    tried = steps_take(monkeypatch, {threads: [1] * 5 for threads in (1, 2, 4)})
    choose(small_config("mlp"))
    assert tried == [1, 2, 4, 4, 2, 1, 1, 2, 4, 4, 2, 1, 1, 2, 4]


def test_long_steps_are_timed_only_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(threads_module.time, "perf_counter", lambda: 0.7 * next(clock))
    tried = steps_take(monkeypatch, {1: [9, 9, 9], 2: [5, 5, 5], 4: [9, 9, 9]})
    assert choose(small_config("mlp"))[0].device.threads == 2 and len(tried) == 9


def test_steps_that_are_known_to_be_long_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "trial_step", pytest.fail)
    config = small_config("mlp")
    found, line = decisions.decide_threads(config, build_data(config, CPU), CPU, str, seconds_at_least=30.0)
    assert found.device.threads == torch.get_num_threads() == 4 and line is not None
    assert line.startswith("threads: 4 (steps are too long")


def test_a_slice_lasts_at_least_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured with a fake clock, and a fake clock of this thread's computing time."""
    now = {"wall": 0.0, "computed": 0.0}

    def train_step(seconds: float) -> None:
        now["wall"] += seconds
        now["computed"] += seconds / 4

    monkeypatch.setattr(threads_module.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(threads_module.time, "thread_time", lambda: now["computed"])
    for seconds, steps in ((0.02, 2), (0.3, 1)):
        before = now["wall"]
        assert threads_module._time_slice(lambda: train_step(seconds)) == pytest.approx((seconds, seconds / 4))  # noqa: B023
        assert now["wall"] - before == pytest.approx(steps * seconds)


@pytest.fixture
def real_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few: threads beyond the machine's cores wait for each other."""
    for name, value in (("ALL", 2), ("ROUNDS", 2), ("SLICE_S", 0.0)):
        monkeypatch.setattr(threads_module, name, value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["mlp"],
        ["dcgan", "conditional=true", "augment=ada", "penalty=r1", "n_critic=2"],
        ["mlp", "loss=rpgan", "penalty=wgan_gp", "instance_noise=0.1"],
    ],
    ids=" ".join,
)
def test_steps_of_any_configuration_are_timed(overrides: list[str], real_steps: None) -> None:
    config, line = choose(small_config(*overrides))
    assert config.device.threads in (1, 2) and line is not None and line.count(" ms") == 2


@pytest.mark.slow
def test_timing_does_not_change_the_run(real_steps: None) -> None:
    config = small_config("mlp")
    spec = build_data(config, CPU).spec
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    choose(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    first, second = build_state(config, spec, CPU), build_state(config, spec, CPU)
    choose(config)
    assert_same(first.generator.state_dict(), second.generator.state_dict())


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "usable_cores", lambda: 2)
    config = small_config("mlp", "device.threads=1000")
    kept, line = choose(config)
    assert kept == config and line is not None
    assert line.startswith("device.threads=1000: this machine has 2 cores, and further threads slow it down")


@pytest.mark.parametrize("override", ["device.threads=3", "device.deterministic=true"])
def test_nothing_is_timed_where_the_configuration_decides(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "_time_slice", pytest.fail)
    monkeypatch.setattr(decisions, "usable_cores", lambda: 3)
    config = small_config("mlp", override)
    assert choose(config) == (config, None)


def test_nothing_is_timed_where_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads_module, "_time_slice", pytest.fail)
    config = small_config("mlp")
    assert choose(config) == (config, None)


def test_a_value_of_the_environment_that_is_no_number_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for OpenMP, which ignores it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    steps_take(monkeypatch, {1: [20] * 5, 2: [11] * 5, 4: [20] * 5})
    assert choose(small_config("mlp"))[0].device.threads == 2


@pytest.mark.slow
def test_a_run_keeps_its_number_of_threads(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the saved configuration and a resumed run round in the same way under any load."""
    steps_take(monkeypatch, {4: [3.0] * 5, 2: [1.0] * 5, 1: [2.0] * 5})
    start_run(small_config("mlp", "steps=2"), "run")
    run = RunDir.open("run")
    assert run.read_config()["device"]["threads"] == 2
    assert "threads: 2 (" in run.log.read_text()
    assert json.loads(run.status.read_text())["state"] == "finished"
    # The next run of the same process, as in a sweep, starts again from torch's default.
    steps_take(monkeypatch, {4: [1.0] * 5, 2: [2.0] * 5, 1: [2.0] * 5})
    start_run(small_config("mlp", "steps=2"), "second")
    assert RunDir.open("second").read_config()["device"]["threads"] == 4
