"""A batch in parts does what the whole batch does."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from builders import small_config
from gan_exp.errors import UserError
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.parts import one_by_one
from gan_exp.training.step import train_step
from gan_exp.training.step_types import UpdateInputs
from parts_of_batches import CASES, CLOSE, train
from single_steps import CPU, latents, make, real_batch, rng_for
from whole_runs import RHYTHM, assert_same_run, locked_continue
from whole_runs import train as train_run

whole = cache(train)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_micro_batches_train_as_the_whole_batch(number: int) -> None:
    """Of 16 images 6 at a time leave a smaller part."""
    words, size = CASES[number], (8, 6, 4)[number % 3]
    torch.testing.assert_close(train(words, size), whole(words), **CLOSE)


@pytest.mark.parametrize("words", ["reuse_fakes=true", "split_updates=true", "loss=rpgan penalty=wgan_gp n_critic=2"])
def test_no_more_images_than_asked_for_go_through_a_network_at_once(words: str) -> None:
    state, config = make("mlp", "micro_batch_size=4", *words.split())
    counts = set[int]()
    for network in (state.generator, state.discriminator):
        network.register_forward_pre_hook(lambda _, given: counts.add(len(given[0])))
    inputs = UpdateInputs(latents(), real_batch(), rng_for)
    report = train_step(state, config, [inputs, inputs], inputs)
    assert counts == {4}
    assert state.images_seen == 32 and report.discriminator[0].real_logits.shape == (16,)


def test_one_update_moves_buffers_once_except_batch_norms() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    network.register_buffer("calls", torch.zeros(()))
    for part in one_by_one([1.0, 2.0, 3.0], network):
        network.calls += part  # type: ignore[operator]
        network[0].running_mean += part  # type: ignore[operator]
    assert network.calls.item() == 3
    assert network[0].running_mean.tolist() == [6, 6]  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("fast_path", ["auto", "graph"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_faster_steps_are_for_whole_batches(fast_path: str, device: str) -> None:
    state, config = make("mlp", "micro_batch_size=4")
    _, line = choose_step(fast_path, state, config, torch.device(device), warn=pytest.fail)
    assert line == "steps: plain (a batch goes through the networks in parts)"
    _, config = make("mlp", "micro_batch_size=16")
    assert "in parts" not in choose_step("auto", state, config, CPU)[1]


def test_a_run_in_micro_batches_goes_on_as_it_was(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mlp", *RHYTHM, "micro_batch_size=8", "augment=ada", "penalty=dragan")
    run = train_run(config, "whole", (), monkeypatch)
    assert "BatchNorm in the generator takes its statistics from 8 images at a time" in run.log.read_text()
    assert_same_run(run, train_run(config, "stopped", (4, 6), monkeypatch))
    with pytest.raises(UserError, match="micro_batch_size=16: can't change in the middle of this run"):
        locked_continue(config.model_copy(update={"micro_batch_size": None}), run)
