"""A sweep that is stopped says what was done, and is finished in its own directory."""

import signal
from pathlib import Path
from typing import Any

import pytest

from builders import assert_same
from gan_exp.checkpoint import load_checkpoint
from gan_exp.cli import main
from gan_exp.run_dir import RunDir
from gan_exp.trainer import Trainer

pytestmark = pytest.mark.slow

WORDS = ["steps=4", "log_every_steps=1", "checkpoint_every_steps=3", "batch_size=4", "display=plain", "seed=1,2,3"]
SMALL = ["model.generator.widths=[8]", "model.discriminator.widths=[8]"]


def sweep(directory: str) -> int:
    return main(["train", "-m", *WORDS, *SMALL, f"hydra.sweep.dir={directory}"])


def runs(directory: str) -> list[RunDir]:
    return [RunDir(path.parent) for path in sorted(Path(directory).glob("*/config.yaml"))]


@pytest.fixture
def stopped(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Ctrl-C in the second of three runs; what was told."""

    play_step = Trainer._play_step

    def interrupted(trainer: Trainer) -> Any:
        if trainer.state.step == 1 and len(runs("swept")) == 2:
            signal.raise_signal(signal.SIGINT)
        return play_step(trainer)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_play_step", interrupted)
        assert sweep("swept") == 130
    assert [run.read_status()["state"] for run in runs("swept")] == ["finished", "interrupted"]
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_it_says_what_was_done(stopped: str) -> None:
    expected = (
        "sweep: stopped by SIGINT: 1 of 3 runs finished, 1 interrupted, 1 not begun; for the rest: gan-exp resume"
    )
    assert expected in stopped.splitlines()[-1]


def test_the_rest_is_what_it_would_have_been(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = runs("swept")[0]
    untouched = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    assert main(["resume", "swept"]) == 0
    assert {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()} == untouched
    told = capsys.readouterr().out
    assert f"{first.path.resolve()} is finished (4 steps)" in told and "resuming" in told
    assert told.splitlines()[-3:] == [
        "sweep: 3 of 3 runs finished",
        "next:",
        "  gan-exp dashboard swept",
    ]
    assert sweep("whole") == 0
    told = capsys.readouterr().out
    assert told.count("run directory: ") == 3  # of each run that, but no description of its networks, and no advice
    assert told.count("next:") == 1 and told.splitlines()[-1] == "  gan-exp dashboard whole"
    assert "parameters" not in told and "resume" not in told
    assert [run.path.name for run in runs("swept")] == [run.path.name for run in runs("whole")]
    for run, other in zip(runs("swept"), runs("whole"), strict=True):
        assert run.read_status()["state"] == "finished"
        assert_same(load_checkpoint(run.checkpoint(4)), load_checkpoint(other.checkpoint(4)))


def test_a_run_that_was_resumed_by_itself_keeps_its_steps(stopped: str) -> None:
    second = runs("swept")[1]
    assert main(["resume", str(second.path), "steps=7"]) == 0
    assert main(["resume", "swept"]) == 0
    assert [run.read_status()["step"] for run in runs("swept")] == [4, 7, 4]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["steps=9"], "steps=9: the runs of a sweep keep their values"),
        (["--config-dir", "nowhere"], "nowhere"),
    ],
)
def test_refusals(words: list[str], sentence: str, stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "swept", *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("{", "can't be read ("),
        ("hydra: []", "can't be read ("),
        ("hydra: {overrides: {hydra: [], task: [hydra.launcher._target_=os.system]}}", "is no value of a run"),
        ("hydra: {overrides: {hydra: [], task: [+hydra.callbacks.a._target_=os.abort]}}", "is no value of a run"),
        ("hydra: {overrides: {hydra: [], task: [model@hydra.launcher=mlp]}}", "is no value of a run"),
        ("hydra: {overrides: {hydra: [], task: [--config-dir=.]}}", "is no value of a run"),
    ],
)
def test_a_record_from_elsewhere_runs_nothing(
    record: str, sentence: str, stopped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("swept/multirun.yaml").write_text(record)
    assert main(["resume", "swept"]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


def test_what_hydra_would_build_is_not_taken_over(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("swept/multirun.yaml")
    text = record.read_text()
    assert "    hydra:\n" in text
    record.write_text(text.replace("    hydra:\n", "    hydra:\n    - hydra.launcher._target_=os.abort\n", 1))
    assert main(["resume", "swept"]) == 0
    assert "not taken over from the sweep's record: hydra.launcher._target_=os.abort" in capsys.readouterr().out


def test_a_directory_whose_runs_are_of_another_sweep(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("swept/multirun.yaml")
    record.write_text(record.read_text().replace("seed=1,2,3", "seed=4,2,3"))
    first = runs("swept")[0]
    first.path.rename(first.path.with_name(first.path.name.replace("seed=1", "seed=4")))
    assert main(["resume", "swept"]) == 2
    told = capsys.readouterr().err
    assert "seed: " in told and "was begun with other values" in told and told.count("\n") == 1
