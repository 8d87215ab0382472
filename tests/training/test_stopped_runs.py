"""Signals end a run with everything saved."""

import signal
from pathlib import Path
from typing import Any

import pytest

from builders import in_each_step, small_config
from gan_exp.cli import main
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import Interrupted
from gan_exp.training import grid as grid_module
from gan_exp.training import run_log as run_log_module
from gan_exp.training import session as session_module
from gan_exp.training.session import start_run
from gan_exp.training.state import TrainingState
from whole_runs import RHYTHM, assert_same_run, locked_continue, train


def test_a_second_signal_ends_at_once(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in the middle of a step; what was saved before is still there."""

    def lose_patience(state: TrainingState) -> None:
        if state.step == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    class Left(BaseException):
        """Raised instead of ending the process."""

    def leave(code: int) -> None:
        assert code == 130
        raise Left

    monkeypatch.setattr("gan_exp.runtime.signals.os._exit", leave)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    in_each_step(monkeypatch, lose_patience)
    with pytest.raises(Left):
        start_run(small_config("mlp", *RHYTHM), "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "interrupted" and run.list_checkpoints()[-1][0] == 5
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_saves_too(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(state: TrainingState) -> None:
        if state.step == 2:
            signal.raise_signal(signal.SIGTERM)

    in_each_step(monkeypatch, terminate)
    with pytest.raises(Interrupted) as ended:
        start_run(small_config("mlp", *RHYTHM), "run")
    assert ended.value.exit_code == 128 + signal.SIGTERM
    run = RunDir.open("run")
    assert run.list_checkpoints()[-1][0] == 3 and run.read_status()["reason"] == "SIGTERM"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "where", "step"),
    [(run_log_module, "encode_png", 0), (grid_module, "generate_all", 3), (run_log_module, "save_animation", 11)],
    ids=["encode_png-0", "generate_all-3", "save_animation-11"],
)
def test_a_signal_at_any_time(
    module: Any, where: str, step: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, while samples are drawn, after the last step: the state is saved, and it goes on."""
    config = small_config("mlp", *RHYTHM)
    whole = train(config, "whole", (), monkeypatch)
    original = getattr(module, where)
    calls = 0

    def asked(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (2 if step == 3 else 1):
            signal.raise_signal(signal.SIGUSR1)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, where, asked)
        if step == 11:  # nothing is left to be done
            start_run(config, "run")
        else:
            with pytest.raises(Interrupted) as ended:
                start_run(config, "run")
            assert ended.value.exit_code == 128 + signal.SIGUSR1
    run = RunDir.open("run")
    status = run.read_status()
    if step < 11:
        assert (status["state"], status["step"], status["reason"]) == ("interrupted", step, "SIGUSR1")
        assert run.list_checkpoints()[-1][0] == step
        locked_continue(config, run)
    assert_same_run(whole, run)


def test_a_signal_before_there_is_a_run(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """While it starts, nothing has been done and nothing is left behind."""

    def asked(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(session_module, "build_data", asked)
    assert main(["train", "display=quiet", "device=cpu"]) == 143
    assert "ended by SIGTERM; there was nothing to save" in capsys.readouterr().err
    assert not list(Path().glob("outputs/*/*"))
