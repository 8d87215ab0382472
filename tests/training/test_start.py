"""A run that starts from the weights of another one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import assert_same, small_config
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.runs.checkpoint import data_content, load_checkpoint, write_checkpoint
from gan_exp.training.build import build_state
from gan_exp.training.start import NOTHING, Taken, take_over
from gan_exp.training.state import TrainingState
from whole_runs import RHYTHM, assert_same_run, train

CPU = torch.device("cpu")
ADA = ("augment=ada", "augment.every=1")


def some_data(classes: tuple[str, ...] = ("ant", "bee"), size: int = 8) -> PackedImages:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (12, 1, size, size), dtype=torch.uint8, generator=generator)
    return PackedImages(images, torch.arange(12) % len(classes), classes)


def kept(tmp_path: Path, config: Config, data: PackedImages) -> tuple[str, TrainingState]:
    """The file of a checkpoint after some steps, and what it holds."""
    state = build_state(config, data.spec, CPU)
    state.step = 9
    for network in (*state.networks.values(), state.generator_ema):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.0  # as a schedule leaves it
    if state.augment is not None:
        state.augment.p.fill_(0.25)  # type: ignore[operator, union-attr]
    content = {**state.state_dict(), **data_content(data), "config": config.model_dump(mode="json")}
    write_checkpoint(tmp_path / "start.pt", content)
    return str(tmp_path / "start.pt"), state


def started(
    tmp_path: Path, data: PackedImages, before: Config, *words: str, old: PackedImages | None = None, model: str = "mlp"
) -> tuple[TrainingState, TrainingState, Taken]:
    """The state of a run that starts from `before`, that of `before`, and what was taken."""
    file, source = kept(tmp_path, before, old or data)
    config = small_config(model, *words, f"start_from={file}")
    state = build_state(config, data.spec, CPU)
    return state, source, take_over(config, state, data)


def test_the_weights_are_those_of_the_other_run(tmp_path: Path) -> None:
    state, source, taken = started(tmp_path, some_data(), small_config("mlp", *ADA), *ADA)
    assert_same(state.generator.state_dict(), source.generator.state_dict())
    assert_same(state.discriminator.state_dict(), source.discriminator.state_dict())
    assert_same(state.generator_ema.state_dict(), source.generator_ema.state_dict())
    assert state.step == 0 and not state.generator_optimizer.state_dict()["state"]
    assert state.augment is not None and state.augment.p == 0
    assert taken.lines == [
        f"start: from {tmp_path / 'start.pt'} at step 9, with the weights of generator and discriminator",
        "start: keeps average; begins anew with generator's optimizer, discriminator's optimizer, augmentation's p "
        "(start_keep=[average])",
    ]
    assert taken.record["start"]["step"] == 9


def test_everything_is_kept(tmp_path: Path) -> None:
    """Of the optimizers their moments, not the learning rate that the schedule had left."""
    words = (*ADA, "start_keep=[average,optimizers,augment]")
    state, source, _ = started(tmp_path, some_data(), small_config("mlp", *ADA), *words, "lr=0.03")
    for mine, other in (
        (state.generator_optimizer, source.generator_optimizer),
        (state.discriminator_optimizer, source.discriminator_optimizer),
    ):
        assert_same(mine.state_dict()["state"], other.state_dict()["state"])
        assert mine.param_groups[0]["lr"] == 0.03
    assert state.augment is not None and state.augment.p == 0.25


def test_nothing_but_the_weights(tmp_path: Path) -> None:
    state, source, _ = started(tmp_path, some_data(), small_config("mlp"), "start_keep=[]")
    assert_same(state.generator_ema.state_dict(), source.generator.state_dict())


def test_another_optimizer_begins_anew(tmp_path: Path) -> None:
    state, _, taken = started(tmp_path, some_data(), small_config("mlp"), "optimizer=sgd", "start_keep=[optimizers]")
    assert not state.generator_optimizer.state_dict()["state"]
    assert "begins anew with average, generator's optimizer, discriminator's optimizer" in taken.lines[-1]


@pytest.mark.parametrize("model", ["mlp", "dcgan", "resnet", "r3gan", "fastgan"])
@pytest.mark.parametrize("more", [(), ("spectral_norm=true",)], ids=["", "spectral"])
def test_classes_go_by_their_names(model: str, more: tuple[str, ...], tmp_path: Path) -> None:
    old, new = some_data(("ant", "bee", "cat")), some_data(("bee", "cat", "dog", "eel"))
    if model == "fastgan":
        old, new = some_data(old.classes, 16), some_data(new.classes, 16)
    plain = ("conditional=true", *more)
    state, source, taken = started(tmp_path, new, small_config(model, *plain), *plain, old=old, model=model)
    fresh = build_state(small_config(model, *plain), new.spec, CPU)
    tables = [layer for layer in state.generator.modules() if isinstance(layer, torch.nn.Embedding)]
    of_source = [layer for layer in source.generator.modules() if isinstance(layer, torch.nn.Embedding)]
    untrained = [layer for layer in fresh.generator.modules() if isinstance(layer, torch.nn.Embedding)]
    assert tables
    for mine, other, begun in zip(tables, of_source, untrained, strict=True):
        assert torch.equal(mine.weight[:2], other.weight[1:])
        assert torch.equal(mine.weight[2:], begun.weight[2:])
    assert "classes: 2 by their names; 2 begin untrained (dog, eel); 1 of that run are left" in taken.lines
    assert not [line for line in taken.lines if "weights fit" in line]


def test_another_size_is_told_or_refused(tmp_path: Path) -> None:
    """Only layers that know nothing of the size fit."""
    before = small_config("dcgan", "model.generator.hidden=[64,64]")
    words = ("model.generator.hidden=[64,64]",)
    _, _, taken = started(tmp_path, some_data(size=16), before, *words, old=some_data(), model="dcgan")
    (line,) = [line for line in taken.lines if "of the generator's weights fit" in line]
    assert " here, " in line
    with pytest.raises(UserError, match="of the generator's weights fit this run's generator"):
        started(tmp_path, some_data(), small_config("mlp"), model="dcgan")


def test_a_run_without_a_start() -> None:
    config = small_config("mlp")
    assert take_over(config, build_state(config, some_data().spec, CPU), some_data()) is NOTHING


def test_it_resumes_as_exactly_as_any(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of step 0 holds the start, so the run needs the other one no more."""
    first = train(small_config("mlp", *RHYTHM), "first", (), monkeypatch)
    words = (
        *RHYTHM,
        *ADA,
        "start_from=first",
        "start_keep=[average,optimizers]",
        "schedule=cosine",
        "keep_checkpoints=4",
    )
    config = small_config("mlp", *words, "seed=3")
    whole = train(config, "whole", (), monkeypatch)
    beginning, newest = load_checkpoint(whole.checkpoint(0)), load_checkpoint(first.checkpoint(11))
    assert_same(beginning["generator"], newest["generator"])
    assert json.loads(whole.environment.read_text())["start"]["run"] == str(in_tmp / "first")
    assert whole.read_config()["start_from"] == str(in_tmp / "first")
    calls: list[Taken] = []

    def once(*given: Any) -> Taken:
        assert not calls
        calls.append(take_over(*given))
        return calls[0]

    monkeypatch.setattr("gan_exp.training.session.take_over", once)
    assert_same_run(whole, train(config, "stopped", (1, 6), monkeypatch))
