"""Runs whose files a thread writes while the next steps run, as on a GPU; here the device is a CPU."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from beside import written_beside
from builders import assert_same, in_each_step, small_config
from gan_exp.errors import TrainingFault
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.metrics_log import MetricsLog
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import write_atomically
from gan_exp.training import run_log
from gan_exp.training.session import start_run
from gan_exp.training.state import TrainingState
from whole_runs import RHYTHM, assert_same_run, locked_continue, read_events, train

WORDS = (*RHYTHM, "lr=0.01")
EACH_STEP = ("log_every_steps=1", "sample_every_steps=1", "checkpoint_every_steps=1")


def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written takes longer than many steps."""

    def slowly(*given: Any, **options: Any) -> None:
        time.sleep(0.02)
        write_atomically(*given, **options)

    monkeypatch.setattr(run_log, "write_atomically", slowly)
    monkeypatch.setattr("gan_exp.runs.checkpoint.write_atomically", slowly)
    monkeypatch.setattr("gan_exp.runs.run_dir.write_atomically", slowly)


def test_a_slow_disk_changes_nothing(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids, checkpoints and records are those of their own steps, also of a run that is stopped and resumed."""
    config = small_config("mlp", *WORDS)
    whole = train(config, "whole", (), monkeypatch)
    written_beside(monkeypatch)
    slow_disk(monkeypatch)
    run = train(config, "beside", (2, 7), monkeypatch)
    assert_same_run(whole, run)
    for one, other in zip(*(read_events(each).Images("samples") for each in (whole, run)), strict=True):
        assert (one.step, one.encoded_image_string) == (other.step, other.encoded_image_string)
    tags = [read_events(each).Tags()["scalars"] for each in (whole, run)]
    assert sorted(tags[0]) == sorted(tags[1])
    before, after = whole.read_status(), run.read_status()
    assert before["doctor"] == after["doctor"] and before["state"] == after["state"] == "finished"


def test_everything_is_written_in_the_same_order(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a killed run leaves a beginning of what it would have left: never a checkpoint without its grids and lines."""
    orders: list[list[str]] = []

    def note(*given: Any, **options: Any) -> None:
        orders[-1].append(Path(given[0]).name)
        write_atomically(*given, **options)

    def note_line(log: MetricsLog, step: int, metrics: Any) -> None:
        orders[-1].append(f"line {step} {min(metrics)}")
        original(log, step, metrics)

    original = MetricsLog.add
    monkeypatch.setattr(MetricsLog, "add", note_line)
    for module in ("training.run_log", "runs.checkpoint", "runs.run_dir"):
        monkeypatch.setattr(f"gan_exp.{module}.write_atomically", note)
    for directory in ("plain", "beside"):
        orders.append([])
        start_run(small_config("mlp", *WORDS), directory)
        written_beside(monkeypatch)
    assert orders[0] == orders[1]
    assert orders[0].index("step-00000006.png") < orders[0].index("step-00000010.pt"), orders[0]


@pytest.mark.parametrize("what", ["save_checkpoint", "add"])
def test_a_full_disk_ends_the_run_as_ever(what: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sentence, and nothing is written behind what could not be."""
    owner: Any = run_log if what == "save_checkpoint" else MetricsLog
    original, sentences = getattr(owner, what), []

    def full(*given: Any) -> Any:
        step = given[1]
        if step >= 5:
            raise OSError(28, "No space left on device", "a file")
        return original(*given)

    config = small_config("mlp", *WORDS)
    with monkeypatch.context() as patched:
        patched.setattr(owner, what, full)
        for directory in ("plain", "beside"):
            with pytest.raises(TrainingFault, match="the disk is full") as ended:
                start_run(config, directory)
            sentences.append(str(ended.value).replace(directory, "RUN"))
            written_beside(patched)
        assert sentences[0] == sentences[1]
    run = RunDir.open("beside")
    newest = 0 if what == "save_checkpoint" else 5  # a line could not be written at step 6
    assert run.read_status()["state"] == "failed" and run.list_checkpoints()[-1][0] == newest
    locked_continue(config, run)
    assert_same_run(train(config, "whole", (), monkeypatch), run)


def test_a_run_killed_at_any_time_goes_on(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the directory, made between steps while the thread writes, resume to the same run."""
    config = small_config("mlp", *WORDS)
    whole = train(config, "whole", (), monkeypatch)
    written_beside(monkeypatch)
    slow_disk(monkeypatch)

    def copy(state: TrainingState) -> None:
        if state.step in (4, 9):
            shutil.copytree("run", f"killed-{state.step}", ignore=shutil.ignore_patterns("*.partial"))

    undo = in_each_step(monkeypatch, copy)
    start_run(config, "run")
    undo()
    for step in (4, 9):
        run = RunDir.open(f"killed-{step}")
        newest = max([number for number, _ in run.list_checkpoints()], default=None)
        grids = [number for number, _ in run.list_sample_grids()]
        assert newest is None or set(grids) >= {number for number in (0, 3, 6, 9) if number <= newest}
        locked_continue(config, run)
        assert_same_run(whole, run)


def test_equal_weights_are_written_once(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the state itself compares nothing, since it would wait for the GPU."""
    config = small_config("mlp", "steps=1", *EACH_STEP)
    start_run(config, "plain")
    written_beside(monkeypatch)
    monkeypatch.setattr("gan_exp.training.state.share_equal", lambda average, current: None)
    start_run(config, "beside")
    plain, beside = (RunDir.open(name).checkpoint(0) for name in ("plain", "beside"))
    assert beside.stat().st_size <= plain.stat().st_size + 1000
    assert_same(load_checkpoint(plain), load_checkpoint(beside))
