"""A resumed run equals one that was never stopped, and only a run that still fits is resumed."""

import os
from pathlib import Path

import pytest
import torch

from builders import BASE, assert_same, in_each_step, logged_lines, small_config
from gan_exp.comparison.records import read_runs
from gan_exp.config.catalog import defaults, groups
from gan_exp.data.packed import PackedImages
from gan_exp.errors import TrainingFault, UserError
from gan_exp.runs import tensorboard as tensorboard_module
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.training import run_log
from gan_exp.training import session as session_module
from gan_exp.training.build import build_data
from gan_exp.training.faults import write_failure
from gan_exp.training.session import continue_run, start_run
from gan_exp.training.state import TrainingState
from whole_runs import BALANCE, RECIPES, RHYTHM, SCALARS, assert_same_run, locked_continue, read_events, train

CPU = torch.device("cpu")


def test_every_option_is_in_one_of_the_recipes() -> None:
    """A new option is thus tested for resuming."""
    tried = {word for recipe in RECIPES for word in recipe} | {f"model={recipe[0]}" for recipe in RECIPES}
    base = dict(word.split("=") for word in BASE)
    for group in ("model", "loss", "penalty", "augment", "optimizer", "schedule"):
        for option in groups()[group].keys() - {base.get(group, defaults()[group])}:
            assert f"{group}={option}" in tried


STOPS = (1, 4, 5, 6, 10)  # in the first step, at a logging step, at a checkpoint, between, and just before the end


@pytest.mark.slow
@pytest.mark.parametrize("overrides", RECIPES, ids="-".join)
def test_a_resumed_run_is_one_never_stopped(
    overrides: tuple[str, ...], in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stopped at all of these, the others at every second one, by turns."""
    number = RECIPES.index(overrides)
    config = small_config(*overrides, *RHYTHM)
    whole = train(config, "whole", (), monkeypatch)
    assert_same_run(whole, train(config, "stopped", STOPS[number % 2 :: 2] if number else STOPS, monkeypatch))
    assert [step for step, _ in whole.list_checkpoints()] == [5, 10, 11]


def test_a_clock_that_was_set_back(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut without a battery: TensorBoard, which reads files by their names, must not mix them up."""
    config = small_config("mlp", *RHYTHM)
    run = train(config, "run", (), monkeypatch)
    for step in (10, 11):
        run.checkpoint(step).unlink()
    monkeypatch.setattr(tensorboard_module.time, "time", lambda: 1000.0)
    locked_continue(config, run)
    accumulator = read_events(run)
    for tag in accumulator.Tags()["scalars"]:
        expected = [4, 8, 11] if tag in SCALARS | BALANCE else [0, 3, 6, 9, 11][tag == "samples/change" :]
        assert [event.step for event in accumulator.Scalars(tag)] == expected, tag


def test_a_killed_run_goes_on_from_its_last_checkpoint(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records after that checkpoint are written anew, not twice."""
    config = small_config("mlp", *RHYTHM)
    whole = train(config, "whole", (), monkeypatch)
    killed = train(config, "killed", (), monkeypatch)
    for step in (10, 11):
        killed.checkpoint(step).write_bytes(killed.checkpoint(step).read_bytes()[:1000])
    with killed.metrics.open("a") as metrics:
        metrics.write('{"step": 11, "loss/disc')  # the end of a line that never reached the disk
    continue_run(config, killed)
    assert_same_run(whole, killed)
    assert killed.log.read_text().count("skipped: ") == 2
    accumulator = read_events(killed)
    for tag in accumulator.Tags()["scalars"]:
        expected = [4, 8, 11] if tag in SCALARS | BALANCE else [0, 3, 6, 9, 11][tag == "samples/change" :]
        assert [event.step for event in accumulator.Scalars(tag)] == expected, tag


def test_a_run_goes_on_for_longer(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It equals a run with more steps from the start, if no schedule depends on the end."""
    train(small_config("mlp", *RHYTHM, "steps=8"), "run", (), monkeypatch)
    longer = small_config("mlp", *RHYTHM, "steps=12")
    run = RunDir.open("run")
    continue_run(longer, run)
    whole = train(longer, "whole", (), monkeypatch)
    assert_same(load_checkpoint(run.checkpoint(12)), load_checkpoint(whole.checkpoint(12)))
    assert [line["step"] for line in logged_lines(run.metrics)] == [4, 8, 12]


def test_the_seconds_of_all_processes_count(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mlp", *RHYTHM)
    run = train(config, "run", (), monkeypatch)
    (record,) = read_runs([run.path])
    assert 0 < run.trained_seconds() < 100 and record.seconds == run.trained_seconds()
    run.write_status("finished", 11, train_seconds=1000.0)
    locked_continue(config.model_copy(update={"steps": 12}), run)
    seconds = run.trained_seconds()
    assert 1000 < seconds < 1100
    fault = TrainingFault("the disk is full")
    write_failure(run, 12, fault, fault)
    assert run.trained_seconds() == seconds
    (record,) = read_runs([run.path])
    assert record.seconds is None  # of a run that has not finished


def test_a_configuration_that_no_longer_fits_is_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(small_config("mlp", *RHYTHM), "run", (), monkeypatch)
    wider = small_config("mlp", *RHYTHM, "model.generator.widths=[32]")
    with pytest.raises(UserError, match=r"model\.generator\.widths: can't change"):
        continue_run(wider, run)


def test_data_that_has_changed_is_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shapes, other pixels, other labels; the same data read anew is the same."""
    config = small_config("mlp", *RHYTHM, "steps=20")
    run = train(config, "run", (12,), monkeypatch)
    data = build_data(config, CPU)
    assert data.labels is not None

    def refused(changed: PackedImages, sentence: str) -> None:
        monkeypatch.setattr(session_module, "build_data", lambda *_: changed)
        run.write_status("interrupted", 12)
        with pytest.raises(UserError, match=sentence):
            continue_run(config, run)

    was, now = "images of 8x8x1 in 10 classes", "images of 9x9x1 in 10 classes"
    refused(data.resized(9, 9), f"was trained on {was}, the data now is {now}; restore")
    one_pixel = data.images.clone()
    one_pixel[700, 0, 3, 3] += 1
    changed = "the data has changed since the run began.*gan-exp train --from "
    refused(PackedImages(one_pixel, data.labels, data.classes), changed)
    refused(PackedImages(data.images, data.labels.roll(1), data.classes), changed)
    refused(PackedImages(data.images[:-1], data.labels[:-1], data.classes), changed)
    monkeypatch.setattr(session_module, "build_data", lambda *_: build_data(config, CPU))
    continue_run(config, run)


def test_one_process_at_a_time(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mlp", *RHYTHM)
    refused: list[str] = []

    def second_comes(state: TrainingState) -> None:
        if state.step == 5:
            with pytest.raises(UserError) as error:
                locked_continue(config, RunDir.open("run"))
            refused.append(str(error.value))

    in_each_step(monkeypatch, second_comes)
    start_run(config, "run")
    (sentence,) = refused
    assert f"process {os.getpid()} on " in sentence and "is training it" in sentence


def test_a_run_that_never_began_begins(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash before the first checkpoint (step 0) the run starts again, and nothing is written twice."""
    config = small_config("mlp", *RHYTHM)
    whole = train(config, "whole", (), monkeypatch)

    def crash(*_: object) -> None:
        raise SystemExit

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for how, ending in ((crash, SystemExit), (full, TrainingFault)):
        with monkeypatch.context() as patched, pytest.raises(ending):
            patched.setattr(run_log, "save_checkpoint", how)
            start_run(config, how.__name__)
    assert RunDir.open("full").read_status()["state"] == "failed"
    run = RunDir.open("crash")
    assert not run.status.exists()
    run.environment.unlink()
    locked_continue(config, RunDir.open("full"))
    assert_same_run(whole, RunDir.open("full"))
    locked_continue(config, run)
    assert_same_run(whole, run)
    assert run.environment.exists()
    for accumulator in map(read_events, (whole, run)):
        assert [event.step for event in accumulator.Scalars("loss/generator")] == [4, 8, 11]
        assert len(accumulator.Tensors("config/text_summary")) == 1
