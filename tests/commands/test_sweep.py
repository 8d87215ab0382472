"""A sweep that is stopped says what was done, is finished in its own directory, and can grow there."""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from builders import assert_same
from gan_exp.cli import main
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import asked_to_stop
from gan_exp.sweeps import process
from gan_exp.sweeps.trial import Trial, kind_of
from gan_exp.training.trainer import Trainer
from process_state import process_unchanged

pytestmark = pytest.mark.slow

WORDS = ["steps=4", "log_every_steps=1", "checkpoint_every_steps=3", "batch_size=4", "display=plain", "seed=1,2,3"]
SMALL = ["model.generator.widths=[8]", "model.discriminator.widths=[8]"]


def sweep(directory: str) -> int:
    return main(["train", "-m", "--jobs", "1", *WORDS, *SMALL, f"hydra.sweep.dir={directory}"])


def signal_the_sweep(number: int) -> None:
    """In a job: a signal to the process that has started it, which passes it on."""
    os.kill(os.getppid(), number)
    while asked_to_stop() is None:
        time.sleep(0.01)


def runs(directory: str) -> list[RunDir]:
    return [RunDir(path.parent) for path in sorted(Path(directory).glob("*/config.yaml"))]


@pytest.fixture(scope="module")
def ended_by_ctrl_c(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """In the second of three runs: the directory with the sweep, and what was printed."""
    place = tmp_path_factory.mktemp("ended")
    train_step = Trainer._train_step

    def interrupted(trainer: Trainer) -> Any:
        if trainer.state.step == 1 and len(runs("swept")) == 2:
            signal_the_sweep(signal.SIGINT)
        return train_step(trainer)

    printed, complaints = io.StringIO(), io.StringIO()
    with (
        process_unchanged(),
        contextlib.chdir(place),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complaints),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(Trainer, "_train_step", interrupted)
        assert sweep("swept") == 130
        assert [run.read_status()["state"] for run in runs("swept")] == ["finished", "interrupted"]
    assert complaints.getvalue() == ""
    return place / "swept", printed.getvalue()


@pytest.fixture
def stopped(ended_by_ctrl_c: tuple[Path, str], in_tmp: Path) -> str:
    """A copy of it, `swept` in the working directory; what was printed."""
    shutil.copytree(ended_by_ctrl_c[0], "swept")
    return ended_by_ctrl_c[1]


def test_a_runs_name_holds_what_differs(stopped: str) -> None:
    """All else is the same in every name, and would push what differs out of it."""
    assert [run.path.name for run in runs("swept")] == ["0-seed=1", "1-seed=2"]
    lines = stopped.splitlines()
    assert "run 1 (seed=2): run directory: swept/1-seed=2" in lines
    assert "run 0 (seed=1): finished (1 of 3 done)" in lines
    assert "run 1 (seed=2): interrupted at step 2 (1 of 3 done)" in lines


def test_its_environment_holds_its_own_words(stopped: str) -> None:
    command = json.loads(runs("swept")[1].environment.read_text())["command"]
    assert command == [*WORDS[:-1], "seed=2", *SMALL]


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
    captured = capsys.readouterr().out
    assert f"{first.path.resolve()} is finished (4 steps)" in captured and "resuming" in captured
    assert captured.splitlines()[-4:] == [
        "sweep: 3 of 3 runs finished",
        "next:",
        "  gan-exp compare swept",
        "  gan-exp dashboard swept",
    ]
    assert sweep("whole") == 0
    captured = capsys.readouterr().out
    assert captured.startswith("sweep: 3 runs: 3 seeds; one after the other; about 0:00:0")
    assert captured.count("run directory: ") == 3  # of each run that, but no description of its networks, and no advice
    assert captured.count("next:") == 1 and captured.splitlines()[-1] == "  gan-exp dashboard whole"
    assert "parameters" not in captured and "resume" not in captured
    assert [run.path.name for run in runs("swept")] == [run.path.name for run in runs("whole")]
    for run, other in zip(runs("swept"), runs("whole"), strict=True):
        assert run.read_status()["state"] == "finished"
        assert_same(load_checkpoint(run.checkpoint(4)), load_checkpoint(other.checkpoint(4)))


@pytest.mark.parametrize("subdir", ["mine/${seed}", "older-${hydra.job.override_dirname}"])
def test_runs_are_found_whatever_their_directories_are_called(
    subdir: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """hydra.sweep.subdir, or an older version, named them otherwise: nothing is trained once more."""
    words = ["steps=2", *WORDS[1:-1], "seed=1,2", *SMALL, "hydra.sweep.dir=swept", f"hydra.sweep.subdir={subdir}"]
    assert main(["train", "-m", *words]) == 0
    begun = sorted(path for path in Path("swept").rglob("config.yaml"))
    assert len(begun) == 2
    capsys.readouterr()
    assert main(["resume", "swept"]) == 0
    captured = capsys.readouterr().out
    assert captured.count("is finished (2 steps)") == 2 and "2 of 2 runs finished" in captured
    assert sorted(path for path in Path("swept").rglob("config.yaml")) == begun
    assert not [path for path in Path("swept").iterdir() if path.is_dir() and not any(path.rglob("config.yaml"))]


def test_runs_of_a_sweep_over_what_may_change_are_not_confused(in_tmp: Path) -> None:
    words = [*WORDS[1:-1], *SMALL, "steps=1,2", "hydra.sweep.dir=swept", "hydra.sweep.subdir=steps-${steps}"]
    assert main(["train", "-m", *words]) == 0
    assert main(["resume", "swept"]) == 0
    assert sorted(path.parent.name for path in Path("swept").rglob("config.yaml")) == ["steps-1", "steps-2"]


@pytest.mark.parametrize("subdir", ["../elsewhere/${seed}", "/tmp/elsewhere", "'~/${seed}'"])
def test_runs_that_lie_outside_are_refused(subdir: str, stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("swept/multirun.yaml")
    word = f"    - hydra.sweep.subdir={subdir}\n"
    record.write_text(record.read_text().replace("    hydra:\n", f"    hydra:\n{word}", 1))
    assert main(["resume", "swept"]) == 2
    captured = capsys.readouterr().err
    assert "lie outside of it; resume each by its own directory" in captured and captured.count("\n") == 1


def test_the_summary_names_those_that_failed(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no word of resuming what would be refused, or would diverge, once more."""
    words = [*WORDS[:-1], *SMALL, "optimizer.generator.lr=1e-3,-1,1e30"]
    assert main(["train", "-m", *words, "hydra.sweep.dir=swept"]) == 2
    assert capsys.readouterr().out.splitlines()[-4] == (
        "sweep: 1 of 3 runs finished, 2 failed (1: optimizer.generator.lr=-1; 2: optimizer.generator.lr=1e+30)"
    )


def test_what_had_not_begun_leaves_nothing_to_resume(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gan_exp.training.session.build_data", lambda *_: signal_the_sweep(signal.SIGTERM))
    assert main(["train", "-m", "--jobs", "1", *WORDS, *SMALL]) == 143
    captured = capsys.readouterr()
    expected = "sweep: stopped by SIGTERM: 0 of 3 runs finished, 3 not begun"
    assert captured.err == "" and captured.out.splitlines()[-1] == expected
    assert not Path("outputs").exists()
    assert sweep("named") == 143
    assert capsys.readouterr().out.splitlines()[-1] == expected and not Path("named").exists()


def test_threads_are_tuned_once(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same networks; others may want another number. What is added later takes the number over."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    # A fork of this process would wait forever for threads of its own if another test had some here.
    monkeypatch.setattr(process, "CONTEXT", multiprocessing.get_context("forkserver"))
    tuned: list[str] = []

    def tune(jobs: Any, plan: Any) -> dict[str, Trial]:
        tuned.extend({kind_of(job.config) for job in jobs})
        return {kind_of(job.config): Trial(0.001, len(tuned), None) for job in jobs}

    monkeypatch.setattr("gan_exp.sweeps.plan._time_steps", tune)
    words = [*WORDS[:-1], *SMALL[:1], "seed=1,2", "model.discriminator.widths=[8],[9]"]
    assert main(["train", "-m", *words, "hydra.sweep.dir=swept"]) == 0
    assert len(tuned) == 2
    assert [run.read_config()["device"]["threads"] for run in runs("swept")] == [2] * 4
    assert main(["resume", "swept", "seed=1,2,3"]) == 0
    assert [run.read_config()["device"]["threads"] for run in runs("swept")] == [2] * 6


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
    captured = capsys.readouterr().err
    assert sentence in captured and captured.count("\n") == 1


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
    captured = capsys.readouterr().err
    assert sentence in captured and captured.count("\n") == 1


def test_what_hydra_would_build_is_not_taken_over(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("swept/multirun.yaml")
    text = record.read_text()
    assert "    hydra:\n" in text
    record.write_text(text.replace("    hydra:\n", "    hydra:\n    - hydra.launcher._target_=os.abort\n", 1))
    assert main(["resume", "swept"]) == 0
    assert "ignored in the sweep's record: hydra.launcher._target_=os.abort" in capsys.readouterr().out


def test_a_directory_whose_runs_are_of_another_sweep(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("swept/multirun.yaml")
    record.write_text(record.read_text().replace("seed=1,2,3", "seed=4,2,3"))  # ours and Hydra's own
    first = runs("swept")[0]
    first.path.rename(first.path.with_name(first.path.name.replace("seed=1", "seed=4")))
    assert main(["resume", "swept"]) == 2
    captured = capsys.readouterr().err
    assert "seed: " in captured and "was begun with other values" in captured and captured.count("\n") == 1


@pytest.mark.parametrize("at_once", ["1", "3"])
def test_each_job_equals_the_same_run_alone(at_once: str, in_tmp: Path) -> None:
    """Bit by bit, whatever trains beside it."""
    assert main(["train", "-m", "--jobs", at_once, *WORDS, *SMALL, "hydra.sweep.dir=swept"]) == 0
    assert main(["train", *WORDS[:-1], "seed=2", *SMALL, "hydra.run.dir=alone"]) == 0
    alone = RunDir("alone")
    swept = runs("swept")[1]
    assert_same(load_checkpoint(alone.checkpoint(4)), load_checkpoint(swept.checkpoint(4)))
    assert alone.config.read_text() == swept.config.read_text()


def test_a_sweep_grows(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Earlier runs stay untouched, and keep their numbers; resumed again, everything is there."""
    words = [*WORDS[:-1], *SMALL, "lr=1e-3,2e-3", "hydra.sweep.dir=swept"]
    assert main(["train", "-m", *words]) == 0
    untouched = {path: path.read_bytes() for run in runs("swept") for path in run.path.rglob("*") if path.is_file()}
    assert main(["resume", "swept", "seed=range(0,2)"]) == 0
    assert {path: path.read_bytes() for path in untouched} == untouched
    names = [run.path.name for run in runs("swept")]
    assert names == ["0-lr=0.001", "1-lr=0.002", "3-lr=0.001,seed=1", "5-lr=0.002,seed=1"]
    capsys.readouterr()
    assert main(["resume", "swept"]) == 0
    assert "sweep: 4 of 4 runs finished" in capsys.readouterr().out
    assert [run.path.name for run in runs("swept")] == names


def test_linked_values(in_tmp: Path) -> None:
    words = [*WORDS[1:-1], *SMALL, "lr=1e-3,2e-3", "steps=1,2", "hydra.sweep.dir=swept"]
    assert main(["train", "-m", "--zip", "lr,steps", *words]) == 0
    found = [(run.read_config()["lr"], run.read_config()["steps"]) for run in runs("swept")]
    assert found == [(1e-3, 1), (2e-3, 2)]
    assert main(["resume", "swept"]) == 0
    assert len(runs("swept")) == 2


def test_a_failure_can_end_the_sweep(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS[:-1], *SMALL, "lr=1e30,1e-3,2e-3", "hydra.sweep.dir=swept"]
    assert main(["train", "-m", "--jobs", "1", "--on-failure", "stop", *words]) == 1
    assert len(runs("swept")) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last == "sweep: 0 of 3 runs finished, 1 failed (0: lr=1e+30), 2 not begun; for the rest: gan-exp resume swept"
    )


def test_a_killed_job_takes_no_other_with_it(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_step = Trainer._train_step

    def dying(trainer: Trainer) -> Any:
        if trainer.log.run.path.name == "1-seed=2" and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "_train_step", dying)
    assert main(["train", "-m", "--jobs", "2", *WORDS, *SMALL, "hydra.sweep.dir=swept"]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "gan-exp: run 1 (seed=2): killed by SIGKILL, as the system does when memory runs out; "
        "log: swept/1-seed=2/output.txt\n"
    )
    assert "1    seed=2  killed: swept/1-seed=2/output.txt" in captured.out
    assert captured.out.splitlines()[-4] == (
        "sweep: 2 of 3 runs finished, 1 failed (1: seed=2); for the rest: gan-exp resume swept"
    )
    assert main(["resume", "swept"]) == 0
    assert [run.read_status()["state"] for run in runs("swept")] == ["finished"] * 3
