"""Training and resuming from Python: the program finds everything as it left it, also after Ctrl-C."""

import logging
import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gan_exp
from builders import in_each_step
from gan_exp.runtime.signals import STOPPING
from gan_exp.training.state import TrainingState


@pytest.fixture
def words(tiny: list[str]) -> list[str]:
    return [*tiny, "display=quiet"]


def process_state() -> list[Any]:
    """All of the process that a training might change."""
    log = logging.getLogger()
    return [
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.full((2,), 1e-30).mul(1e-9).count_nonzero().item(),  # whether denormal numbers are zero
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]
        dict(os.environ),
        Path.cwd(),
        list(sys.path),
        [signal.getsignal(number) for number in STOPPING],
        (log.level, list(log.handlers)),
        threading.active_count(),
    ]


def test_a_run_is_trained_and_returned(in_tmp: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = gan_exp.train([*words, "name=from python", "seed=3"])
    assert run.path.parent.parent == Path("outputs").resolve() and run.path.name.endswith("-from_python")
    assert (run.state, run.step, run.config["seed"], run.config["name"]) == ("finished", 3, 3, "from python")
    assert run.path == gan_exp.load().path
    assert capsys.readouterr().out == ""
    second = gan_exp.train(words, "some/where")  # in the same process
    assert second.path == Path("some/where").resolve() and second.metrics[-1]["step"] == 3
    assert gan_exp.resume(second, ["steps=5"]).step == 5
    assert gan_exp.resume("some/where").step == 5  # it has nothing left to do


@pytest.mark.parametrize("more", ["device.threads=2", "device.deterministic=true"])
def test_the_process_is_as_it_was(in_tmp: Path, words: list[str], more: str) -> None:
    torch.set_flush_denormal(False)
    before = process_state()
    gan_exp.train([*words, more])
    assert process_state() == before


def test_defaults_of_the_program_do_not_reach_the_run(in_tmp: Path, words: list[str]) -> None:
    usual = gan_exp.train(words, "usual").sample(2)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.inference_mode():
            run = gan_exp.train(words, "run")
            sampled = run.sample(2)
            assert torch.get_default_dtype() == torch.float64 and torch.get_default_device().type == "meta"
            assert torch.is_inference_mode_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(sampled, usual)


def test_in_another_thread_than_the_main_one(in_tmp: Path, words: list[str]) -> None:
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(gan_exp.train, words).result().state == "finished"


def test_ctrl_c_saves_and_raises(in_tmp: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    before = process_state()

    def interrupt(state: TrainingState) -> None:
        if state.step == 0:
            signal.raise_signal(signal.SIGINT)

    undo = in_each_step(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^the run is saved; gan_exp.resume\('run'\) continues it"):
        gan_exp.train(words, "run")
    undo()
    assert process_state() == before
    run = gan_exp.load("run")
    assert (run.state, run.step) == ("stopped", 1)
    assert gan_exp.resume(run).state == "finished"


def test_a_second_ctrl_c_ends_the_training_and_not_the_program(
    in_tmp: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(state: TrainingState) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    undo = in_each_step(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        gan_exp.train(words, "run")
    undo()
    assert gan_exp.load("run").state == "stale"
    assert gan_exp.resume("run").state == "finished"


def test_a_run_that_fails(in_tmp: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = process_state()

    def fail(state: TrainingState) -> None:
        raise ZeroDivisionError("in the middle of a step")

    in_each_step(monkeypatch, fail)
    with pytest.raises(gan_exp.TrainingFault, match="in the middle of a step") as fault:
        gan_exp.train(words, "run")
    assert isinstance(fault.value.__cause__, ZeroDivisionError)  # whose traceback is shown
    assert process_state() == before
    assert gan_exp.load("run").state == "failed"


def test_a_signal_that_the_program_handles(in_tmp: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It does what it would have done at once, when the run is saved."""
    received: list[int] = []
    monkeypatch.setattr(sys, "argv", ["a program"])
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        in_each_step(monkeypatch, lambda state: signal.raise_signal(signal.SIGTERM) if state.step == 1 else None)
        run = gan_exp.train(words, "run")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM] and (run.state, run.step) == ("stopped", 2)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["lr=-1"], "lr=-1: must be greater than 0"),
        (["model=nope"], "model=nope: no such option; known are "),
        (
            ["-m", "lr=1e-3,1e-4"],
            "-m: a sweep trains its runs in processes of their own; use the command gan-exp train -m",
        ),
        (
            ["--trust", "mine"],
            "--trust: is an option of the command; here directory, config_dir and trust are arguments",
        ),
        (["hydra.run.dir=run"], "hydra.run.dir=run: is a setting of the command's Hydra; to choose the place, use"),
        (["steps"], "steps: must be written key=value in one word"),
        ("model=mlp", "overrides='model=mlp': must be a list of strings, such as overrides=['model=dcgan']"),
        ([3], "overrides=[3]: must be a list of strings"),
        (None, "overrides=None: must be a list of strings"),
        ((word for word in ["lr=-1"]), "lr=-1: must be greater than 0"),
        (
            ["loss._target_=mine.Loss"],
            "loss._target_=mine.Loss: only gan_exp.losses may be named there; if this is code of your own, allow it "
            "with trust=['mine']",
        ),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing_behind(in_tmp: Path, overrides: Any, sentence: str) -> None:
    with pytest.raises(gan_exp.UserError) as refused:
        gan_exp.train(overrides)
    assert str(refused.value).startswith(sentence)
    assert list(Path().iterdir()) == []


def test_a_folder_of_settings_that_is_not_there(in_tmp: Path) -> None:
    with pytest.raises(gan_exp.UserError, match=r"^config_dir=conf: no such folder; name the one that holds model/"):
        gan_exp.train([], config_dir="conf")


def test_one_of_several_processes_is_refused(in_tmp: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(gan_exp.UserError, match=r"^gan_exp.train: needs one process, and WORLD_SIZE=2 says"):
        gan_exp.train(words)


def test_a_place_that_is_taken_and_another_experiment(run: Path, words: list[str]) -> None:
    with pytest.raises(gan_exp.UserError, match=r"^run: holds a run already"):
        gan_exp.train(words, "run")
    with pytest.raises(gan_exp.UserError, match=r"^lr: can't change in the middle of a run"):
        gan_exp.resume("run", ["lr=1e-5"])


OWN = """
from gan_exp.losses import NonSaturating

class Mine(NonSaturating):
    pass
"""


def test_own_classes_are_allowed_by_an_argument(in_tmp: Path, words: list[str]) -> None:
    Path("own_package_of_a_user.py").write_text(OWN)
    given = [*words, "loss._target_=own_package_of_a_user.Mine"]
    with pytest.raises(gan_exp.UserError, match=r"allow it with trust=\['own_package_of_a_user'\]"):
        gan_exp.train(given, "run")
    run = gan_exp.train(given, "run", trust=["own_package_of_a_user"])
    assert run.config["loss"]["_target_"] == "own_package_of_a_user.Mine" and run.state == "finished"
    assert gan_exp.resume(run, ["steps=4"]).step == 4  # it remembers whom it may trust
    with pytest.raises(gan_exp.UserError, match=r"allow it with trust="):
        gan_exp.load("run").sample(1)
    assert gan_exp.load("run", trust=["own_package_of_a_user"]).sample(1).shape == (1, 1, 8, 8)


def test_within_a_program_that_uses_hydra_itself(in_tmp: Path, words: list[str]) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    Path("theirs").mkdir()
    Path("theirs/main.yaml").write_text("lr: 1\n")
    with initialize_config_dir(str(in_tmp / "theirs"), version_base="1.3"):
        assert gan_exp.train(words).state == "finished"
        assert compose("main").lr == 1
    assert not GlobalHydra.instance().is_initialized()
