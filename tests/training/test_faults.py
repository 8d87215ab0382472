"""Faults and divergence end a run with one sentence and a status; best-effort outputs do not end it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import assert_same, in_each_step, logged_lines, small_config
from gan_exp.cli import main
from gan_exp.config.schema import Config
from gan_exp.errors import TrainingFault
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import write_atomically
from gan_exp.training import run_log as run_log_module
from gan_exp.training.session import continue_run, start_run
from gan_exp.training.state import TrainingState
from gan_exp.training.trainer import Trainer
from whole_runs import RHYTHM, train


def diverging(*overrides: str) -> Config:
    """Plain gradient descent with enormous steps."""
    return small_config("mlp", "optimizer=sgd", "loss=lsgan", "lr=1e25", *overrides)


def test_a_run_that_diverges_ends_as_failed(in_tmp: Path) -> None:
    """The step is that of the first loss that is not finite, however much later it is noticed."""
    tensors = r"\w+\.layers\.0\.weight and the gradient of \w+\.layers\.0\.weight hold such values"
    sign = rf"step 1: loss/\w+ is (nan|inf); {tensors}: training has diverged"
    with pytest.raises(TrainingFault, match=sign):
        start_run(diverging("steps=20", "log_every_steps=4"), "run")
    run = RunDir.open("run")
    status = run.read_status()
    assert status["state"] == "failed" and status["step"] == 1
    assert "optimizer.discriminator.lr=1e+25 is far above" in status["reason"] and status["reason"].endswith(
        "try lr=0.02"
    )
    assert [step for step, _ in run.list_checkpoints()] == [0] and logged_lines(run.metrics) == []


def test_losses_that_are_finite_and_absurd_are_a_divergence(in_tmp: Path) -> None:
    """Before the first checkpoint that would hold them, in the step in which they showed."""
    step_config = ("loss=wgan", "loss.clip=null", "lr=1e7")  # Adam brings each weight to 1e7 in the first step
    config = small_config("mlp", *step_config, "steps=30", "log_every_steps=30", "checkpoint_every_steps=1")
    with pytest.raises(TrainingFault, match=r"step \d+: .*beyond 1.8e\+19: training has diverged \(last"):
        start_run(config, "run")
    run = RunDir.open("run")
    status = run.read_status()
    assert status["state"] == "failed" and f"step {status['step']}: " in status["reason"]
    (verdict,) = status["doctor"]
    assert verdict["since"] == status["step"] > run.list_checkpoints()[-1][0]


@pytest.mark.slow
@pytest.mark.parametrize("sample_every_steps", [4, 5])
def test_the_last_checkpoint_is_from_before_the_divergence(
    sample_every_steps: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where checkpoints and grids come more often than logged losses."""
    rhythm = ("log_every_steps=30", f"sample_every_steps={sample_every_steps}", "checkpoint_every_steps=2")
    config = small_config("mlp", "steps=30", *rhythm)

    def poison(state: TrainingState) -> None:
        if state.step == 6:
            state.generator_parameters[0].data[0, 0] = math.nan

    undo = in_each_step(monkeypatch, poison)
    with pytest.raises(TrainingFault, match=r"step 7: .*no longer finite.*\(last good checkpoint: step 6\)"):
        start_run(config, "run")
    run = RunDir.open("run")
    assert run.list_checkpoints()[-1][0] == 6 and run.list_sample_grids()[-1][0] == sample_every_steps
    content = load_checkpoint(run.checkpoint(6))
    assert all(value.isfinite().all() for value in content["generator"].values())
    assert run.read_status()["state"] == "failed"
    undo()
    continue_run(config, run)  # where it was whole
    assert run.read_status()["state"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("seen_by", ["log", "sample", "checkpoint"])
def test_a_broken_gradient_is_named(
    network: str, value: float, seen_by: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first check in its step, while losses and weights are still finite."""

    train_step = Trainer._train_step

    def poisoned(trainer: Trainer) -> Any:
        report = train_step(trainer)
        if trainer.state.step == 3:
            getattr(trainer.state, f"{network}_parameters")[2].grad[0] = value
            if seen_by == "log":  # where the norm was measured, too
                measured = trainer.running_means._waiting[-1]
                if network == "generator":
                    trainer.running_means._waiting[-1] = measured._replace(generator_gradient_norm=torch.tensor(value))
                else:
                    broken = report._replace(gradient_norms=torch.tensor([value]))
                    trainer.running_means._waiting[-1] = measured._replace(discriminator=[broken])
        return report

    monkeypatch.setattr(Trainer, "_train_step", poisoned)
    rhythm = [f"{what}_every_steps={3 if what == seen_by else 50}" for what in ("log", "sample", "checkpoint")]
    tensor = rf"the gradient of {network}\.layers\.\d\.weight"
    with pytest.raises(
        TrainingFault, match=rf"step 3: .*; {tensor} holds such values.*last good checkpoint: step 0.*try"
    ):
        start_run(small_config("mlp", "steps=20", *rhythm), "run")
    assert RunDir.open("run").read_status()["state"] == "failed"


def test_a_failed_run_has_exit_code_1(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["steps=4", "log_every_steps=1", "batch_size=4", "display=quiet", "device=cpu", "hydra.run.dir=run"]
    step_config = ["optimizer=sgd", "loss=lsgan", "lr=1e25"]
    widths = ["model.generator.widths=[4]", "model.discriminator.widths=[4]"]
    assert main(["train", *run, *step_config, *widths]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "training has diverged" in error
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"


def test_an_unforeseen_fault_is_one_sentence_and_a_traceback_in_the_log(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of a kind that nobody thought of")

    in_each_step(monkeypatch, fail)
    with pytest.raises(TrainingFault, match=r"ZeroDivisionError: of a kind .*the traceback is in .*log\.txt"):
        start_run(small_config("mlp", *RHYTHM), "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "failed" and "Traceback" in run.log.read_text()


def test_a_full_disk_is_named(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_log_module, "save_checkpoint", fail)
    with pytest.raises(TrainingFault, match=r"the disk is full.*No space left on device; make room.*gan-exp resume"):
        start_run(small_config("mlp", *RHYTHM), "run")


def test_grids_tensorboard_and_the_preview_may_fail(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning for each, and the run is otherwise the same."""
    config = small_config("mlp", *RHYTHM)
    whole = train(config, "whole", (), monkeypatch)
    original = write_atomically

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def unforeseen(*_: object) -> None:
        raise ZeroDivisionError("a terminal without columns")

    def no_grids(path: Path, *rest: Any, **options: Any) -> None:
        (fail if path.suffix == ".png" else original)(path, *rest, **options)

    monkeypatch.setattr(run_log_module, "write_atomically", no_grids)
    monkeypatch.setattr(run_log_module.TensorBoardLog, "_write", fail)
    monkeypatch.setattr(run_log_module.Display, "set_preview", unforeseen)
    start_run(config, "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "finished"
    log = run.log.read_text()
    for what in ("the grid of samples", "TensorBoard's events", "the preview"):
        assert log.count(f"warning: {what} can't be written any more (") == 1, what
    assert_same(load_checkpoint(whole.checkpoint(11)), load_checkpoint(run.checkpoint(11)))


def test_out_of_memory_names_the_key_to_change(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_each_step(monkeypatch, lambda _: torch.empty(1 << 55))
    with pytest.raises(TrainingFault, match=r"out of memory; train anew with a smaller batch_size \(now 16\)"):
        start_run(small_config("mlp", *RHYTHM), "run")
