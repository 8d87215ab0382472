"""One call trains a run to its end, however often its process is stopped and started again."""

import signal
from pathlib import Path

import pytest

from builders import in_each_step, small_config
from gan_exp.config.schema import Config
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import Interrupted
from gan_exp.training.session import start_run
from gan_exp.training.start_or_continue import start_or_continue
from gan_exp.training.state import TrainingState
from whole_runs import RHYTHM, assert_same_run

CONFIG = small_config("mlp", *RHYTHM)


def test_the_same_call_starts_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(state: TrainingState) -> None:
        if state.step == 6:
            signal.raise_signal(signal.SIGUSR1)

    undo = in_each_step(monkeypatch, interrupt)
    with pytest.raises(Interrupted):
        start_or_continue(CONFIG, str(tmp_path / "run"))
    undo()
    run = RunDir(tmp_path / "run")
    assert (run.read_status()["state"], run.read_status()["step"]) == ("interrupted", 7)
    start_or_continue(CONFIG, str(run.path))
    start_run(CONFIG, str(tmp_path / "whole"))
    assert_same_run(run, RunDir(tmp_path / "whole"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    place = tmp_path_factory.mktemp("finished")
    start_run(CONFIG, str(place))
    return RunDir(place)


@pytest.mark.parametrize("words", [(), ("steps=5",), ("display=plain",)])
def test_a_finished_run_stays_as_it_is(
    finished: RunDir, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    start_or_continue(small_config("mlp", *RHYTHM, *words), str(finished.path))
    assert capsys.readouterr().out == f"{finished.path} is finished (11 steps)\n"
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == before


def test_another_experiment_is_refused(finished: RunDir) -> None:
    """Also where the run is finished, and its directory would be taken for the result."""
    with pytest.raises(UserError, match=r"^batch_size, seed: .* was begun with batch_size=16, seed=0, this would"):
        start_or_continue(small_config("mlp", *RHYTHM, "batch_size=8", "seed=1"), str(finished.path))


def test_the_metric_that_the_run_has_chosen_is_kept(in_tmp: Path) -> None:
    """Also that of a run from before `auto`."""
    start_run(small_config("mlp", *RHYTHM, "best_metric=fid", "steps=2"), "older")
    start_or_continue(small_config("mlp", *RHYTHM, "steps=3"), "older")
    assert RunDir("older").read_config()["best_metric"] == "fid"
    start_or_continue(small_config("mlp", *RHYTHM, "best_metric=panel", "steps=4"), "older")
    assert RunDir("older").read_config()["best_metric"] == "panel"


def test_the_threads_that_the_run_has_found_are_kept(finished: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words leave them open, and the last bits depend on them."""
    given = []
    monkeypatch.setattr(RunDir, "read_config", lambda _: with_threads(CONFIG, 3).model_dump(mode="json"))
    monkeypatch.setattr("gan_exp.training.start_or_continue.continue_run", lambda config, *_: given.append(config))
    longer = CONFIG.model_copy(update={"steps": 12})
    start_or_continue(with_threads(longer, None), str(finished.path))
    start_or_continue(with_threads(longer, 1), str(finished.path))
    assert [config.device.threads for config in given] == [3, 1]


def with_threads(config: Config, threads: int | None) -> Config:
    return config.model_copy(update={"device": config.device.model_copy(update={"threads": threads})})
