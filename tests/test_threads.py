"""The number of threads: found by playing, kept with the run, and never where somebody has said it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from builders import assert_same, small_config
from gan_exp import threads as threads_module
from gan_exp.build import build_data, build_state
from gan_exp.config import Config
from gan_exp.run_dir import RunDir
from gan_exp.session import start_run
from gan_exp.threads import choose_threads

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads_module, "ALL", 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def choose(config: Config) -> tuple[Config, str | None]:
    return choose_threads(config, build_data(config, CPU), CPU)


def steps_take(monkeypatch: pytest.MonkeyPatch, times: dict[int, float]) -> None:
    monkeypatch.setattr(threads_module, "_seconds_a_step", lambda _: times[torch.get_num_threads()])


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({4: 0.010, 2: 0.012, 1: 0.020}, 4),
        ({4: 0.088, 2: 0.040, 1: 0.023}, 1),  # others are busy
        ({4: 0.020, 2: 0.011, 1: 0.012}, 2),
        ({4: 0.0101, 2: 0.0100, 1: 0.0098}, 4),  # noise
    ],
)
def test_the_fastest_is_taken(times: dict[int, float], chosen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps_take(monkeypatch, times)
    config, line = choose(small_config("mlp"))
    assert config.device.threads == torch.get_num_threads() == chosen
    assert line is not None and line.startswith(
        f"threads: {chosen} (a step takes with 4: {1000 * times[4]:.1f} ms, 2: "
    )


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
    monkeypatch.setattr(threads_module, "_seconds_a_step", pytest.fail)
    config = small_config("mlp", override)
    assert choose(config) == (config, None)


def test_nothing_is_timed_where_the_environment_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads_module, "_seconds_a_step", pytest.fail)
    config = small_config("mlp")
    assert choose(config) == (config, None)


def test_a_run_keeps_what_it_chose(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the same configuration, and a resumed run, add up in the same order whatever the load is then."""
    steps_take(monkeypatch, {4: 3.0, 2: 1.0, 1: 2.0})
    start_run(small_config("mlp", "steps=2"), "run")
    run = RunDir.open("run")
    assert run.read_config()["device"]["threads"] == 2
    assert "threads: 2 (" in run.log.read_text()
    assert json.loads(run.status.read_text())["state"] == "finished"
    # The next run of the same process, as in a sweep, starts from all of them again.
    steps_take(monkeypatch, {4: 1.0, 2: 2.0, 1: 2.0})
    start_run(small_config("mlp", "steps=2"), "second")
    assert RunDir.open("second").read_config()["device"]["threads"] == 4
