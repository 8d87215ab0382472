"""A batch in parts does what the whole batch does."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from builders import small_config
from gan_exp.data.packed import Batch, DataSpec
from gan_exp.errors import UserError
from gan_exp.runtime.randomness import Rows
from gan_exp.runtime.ranks import Ranks
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.assembly import build_inputs
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.parts import add_up, one_by_one, std_over_ranks
from gan_exp.training.step import train_step, update_discriminator
from gan_exp.training.step_types import DiscriminatorReport, UpdateInputs
from parts_of_batches import ALL_CASES, CASES, CLOSE, data, train
from ranks_of_batches import Tasks
from single_steps import CPU, latents, make, real_batch, rng_for
from threaded_ranks import in_threads
from whole_runs import RHYTHM, assert_same_run, locked_continue
from whole_runs import train as train_run

whole = cache(train)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_micro_batches_train_as_the_whole_batch(number: int) -> None:
    """Of 16 images 6 at a time leave a smaller part."""
    words, size = CASES[number], (8, 6)[number % 2]
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


@pytest.mark.parametrize("split", ["false", "true"])
def test_the_loss_of_ds_own_adds_up(split: str) -> None:
    """The quarters to reconstruct are the whole batch's."""
    found = []
    images = torch.randint(256, (16, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for size in ("null", "4"):
        words = (f"micro_batch_size={size}", f"split_updates={split}", "augment=diffaugment", "inference_fakes=true")
        config = small_config("fastgan", "model.discriminator.batch_norm=false", *words)
        state, step_config = build_state(config, DataSpec((1, 16, 16)), CPU), build_step_config(config)
        report = update_discriminator(state, step_config, UpdateInputs(latents(), Batch(images, None), rng_for))
        assert report.auxiliary is not None and report.auxiliary > 0.1
        found.append([report.loss, report.auxiliary, *(parameter.grad for parameter in state.discriminator_parameters)])
    torch.testing.assert_close(found[1], found[0])


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
    with pytest.raises(
        UserError,
        match=r"micro_batch_size=null: .* from 8 images .* would take them from 16, .* set micro_batch_size=8",
    ):
        locked_continue(config.model_copy(update={"micro_batch_size": None}), run)


TASKS: Tasks = {
    4: [(number, None) for number in (0, 4, 10)],
    2: [(1, 4), (2, 4), *((number, None) for number in (3, 5, 6, 7, 8, 9, 11))],
}


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what processes have trained together."""
    folder, tests = tmp_path_factory.mktemp("ranks"), Path(__file__).parent.parent
    program = [sys.executable, str(tests / "ranks_of_batches.py"), str(folder), json.dumps(TASKS)]
    subprocess.run(program, env={**os.environ, "PYTHONPATH": str(tests)}, check=True)
    return folder


@pytest.mark.parametrize(
    ("count", "number", "size"), [(count, *task) for count, tasks in TASKS.items() for task in tasks]
)
def test_ranks_train_as_one_process(count: int, number: int, size: int | None, of_ranks: Path) -> None:
    """All losses, penalties and augmentations, BatchNorm included; every rank has the same bits."""
    torch.testing.assert_close(torch.load(of_ranks / f"{count}-{number}-{size}.pt"), whole(ALL_CASES[number]), **CLOSE)


def test_the_sum_over_ranks_leaves_out_what_no_rank_has() -> None:
    """A gradient that some ranks lack, one that all lack, a loss that isn't finite on one rank."""

    def add(ranks: Ranks) -> tuple[list[Tensor | None], DiscriminatorReport]:
        parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
        (parameters[0].sum() + (ranks.rank == 1) * parameters[1].sum()).backward()
        if ranks.rank == 0:
            parameters[1].grad = None
        inputs = UpdateInputs(latents()[:4], rows=Rows(4 * ranks.rank, 4 * ranks.rank + 4, 8))
        logits = torch.arange(2.0) + 10 * ranks.rank  # of packs of two
        penalty = torch.tensor(torch.nan if ranks.rank else 0.5)
        part = DiscriminatorReport(torch.tensor(0.25), penalty, logits, -logits)
        report = add_up(
            ranks, inputs, parameters, [part, part._replace(real_logits=logits[:0], fake_logits=logits[:0])]
        )
        return [parameter.grad for parameter in parameters], report

    for gradients, report in in_threads(2, add):
        assert [None if gradient is None else gradient.tolist() for gradient in gradients] == [[2, 2], [1, 1], None]
        assert report.loss.item() == 1 and report.penalty is not None and report.penalty.isnan()
        assert report.real_logits.tolist() == [0, 1, 10, 11] and report.fake_logits.tolist() == [0, -1, -10, -11]


def test_the_standard_deviation_over_ranks_is_that_of_all_values() -> None:
    values = torch.randn(4, 3, 5, dtype=torch.float64) + 100
    found = in_threads(4, lambda ranks: std_over_ranks(ranks, values[ranks.rank]))
    torch.testing.assert_close(found, [values.std()] * 4, rtol=1e-12, atol=0)


def test_each_rank_is_given_its_rows() -> None:
    """Of the images and labels, of the latents, and in the random numbers."""
    config = small_config("mlp", "conditional=true", "n_critic=2")
    given = [
        build_inputs(config, data(), build_step_config(config, Ranks(rank, count)), CPU)
        for count in (1, 2)
        for rank in range(count)
    ]
    alone, *ranks = [[*inputs.discriminator(3), inputs.generator(3)] for inputs in given]
    for whole_update, *parts in zip(alone, *ranks, strict=True):
        assert whole_update.rows is None and [part.rows for part in parts] == [Rows(0, 8, 16), Rows(8, 16, 16)]
        assert torch.equal(torch.cat([part.latents for part in parts]), whole_update.latents)
        batches = [part.batch for part in parts if part.batch is not None]
        assert whole_update.batch is not None
        for name in ("images", "labels"):
            found = torch.cat([getattr(batch, name) for batch in batches])
            assert torch.equal(found, getattr(whole_update.batch, name))


def test_ranks_take_the_plain_step() -> None:
    config = small_config("mlp")
    state, step_config = build_state(config, data().spec, CPU), build_step_config(config, Ranks(1, 2))
    _, line = choose_step("auto", state, step_config, CPU, warn=pytest.fail)
    assert line == "steps: plain (each batch is divided over 2 processes)"


def test_micro_batches_are_of_a_ranks_rows() -> None:
    assert build_step_config(small_config("mlp", "micro_batch_size=8"), Ranks(0, 4)).micro_batch_size is None
    assert build_step_config(small_config("mlp", "micro_batch_size=4"), Ranks(0, 2)).micro_batch_size == 4
