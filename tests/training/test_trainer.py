"""The training loop: schedules, lazy penalties, the averaged generator and the batches."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import in_each_step, logged_lines, make_config, small_config
from gan_exp.config.check import check
from gan_exp.data.packed import Batch, Batches
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.training import step as step_module
from gan_exp.training import trainer as trainer_module
from gan_exp.training.run_log import RunLog
from gan_exp.training.session import start_run
from gan_exp.training.state import TrainingState
from gan_exp.training.step import update_discriminator
from gan_exp.training.step_types import UpdateInputs
from whole_runs import RHYTHM, read_events, train


def test_adas_p_is_saved_and_shown(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("augment=ada", "augment.every=2", "augment.images_to_one=1000", "augment.start_p=0.5", "n_critic=2")
    config = small_config("mlp", *RHYTHM, *words, "augment.target=0.999")
    run = train(config, "run", (), monkeypatch)  # no D is as sure as that: p falls by 32 / 1000 a step
    lines = logged_lines(run.metrics)
    shown = [line["augment/p"] for line in lines]
    assert shown == pytest.approx([0.5 - 0.032 * line["step"] for line in lines], abs=1e-6)
    assert load_checkpoint(run.checkpoint(11))["augment"]["p"].item() == pytest.approx(0.5 - 0.032 * 11, abs=1e-6)
    events = read_events(run).Scalars("augment/p")
    assert [(event.step, event.value) for event in events] == [
        (line["step"], float(np.float32(line["augment/p"]))) for line in lines
    ]


def test_a_lazy_penalty_comes_at_every_kth_update_k_times_as_strong(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []

    def noting(state: Any, step_config: Any, inputs: UpdateInputs, *rest: Any) -> Any:
        report = update_discriminator(state, step_config, inputs, *rest)
        if inputs.latents.is_meta or not inputs.latents.any():  # the step whose memory is counted before training
            return report
        assert (report.penalty is None) == (inputs.penalty_weight == 0)
        weights.append(inputs.penalty_weight)
        return report

    monkeypatch.setattr(step_module, "update_discriminator", noting)
    plain = ("mlp", "fast_path=plain")  # the manual step leaves to it only the steps with a penalty
    start_run(small_config(*plain, "steps=5", "n_critic=2", "penalty=r1", "penalty.every=4"), "run")
    assert weights == [4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0, 0]
    weights.clear()
    start_run(small_config(*plain, "steps=4", "penalty=r1_r2", "penalty.every=2", "schedule=r3gan"), "other")
    assert weights == pytest.approx([2.0, 0, 2 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2), 0])


def test_the_average_has_the_configured_half_life_and_ramp_up(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes of R3GAN have their schedule alone; a run of a version without the key has a twentieth."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(trainer_module.TrainingState, "update_ema", lambda self, *words: asked.append(words))
    start_run(small_config("mlp", "steps=1", "ema_halflife_kimg=2", "ema_ramp_up=null"), "run")
    start_run(small_config("mlp", "steps=1", "ema_halflife_kimg=2", "ema_ramp_up=0.3"), "other")
    assert asked == [(2000, 16, None), (2000, 16, 0.3)]
    older = small_config("mlp").model_dump(mode="json")
    del older["ema_ramp_up"]
    assert check(older).ema_ramp_up == 0.05
    assert make_config("experiment=r3gan_mnist").ema_ramp_up is None
    assert make_config("experiment=r3gan_cifar10").ema_ramp_up is None


def test_the_four_schedules_of_r3gan(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each a cosine over the run: lr to a quarter, beta2 from 0.9 to 0.99, the half-life from nothing."""
    seen: list[tuple[float, float]] = []
    halflives: list[float] = []

    def note(state: TrainingState) -> None:
        (group,) = state.generator_optimizer.param_groups
        seen.append((group["lr"], group["betas"][1]))

    in_each_step(monkeypatch, note)
    monkeypatch.setattr(
        trainer_module.TrainingState, "update_ema", lambda self, halflife, batch, ramp: halflives.append(halflife)
    )
    betas = [f"optimizer.{network}.betas=[0.0,0.9]" for network in ("generator", "discriminator")]
    words = ("steps=4", "schedule=r3gan", "lr=1e-3", "ema_halflife_kimg=2")
    start_run(small_config("mlp", *words, *betas), "run")
    falls = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert [lr for lr, _ in seen] == pytest.approx([1e-3 * (0.25 + 0.75 * fall) for fall in falls])
    assert [beta2 for _, beta2 in seen] == pytest.approx([0.9 * (1.1 - 0.1 * fall) for fall in falls])
    assert halflives == pytest.approx([2000 * (1 - fall) for fall in falls])


@pytest.mark.parametrize("augment", ["pipeline", "diffaugment"])
def test_a_scheduled_p_rises_along_its_cosine_and_is_logged(
    augment: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in R3GAN: from 0 to the configured value, whatever the loss."""
    seen: list[float] = []

    def note(state: TrainingState) -> None:
        assert state.augment is not None
        seen.append(state.augment.p.item())  # type: ignore[operator, union-attr]

    in_each_step(monkeypatch, note)
    words = (f"augment={augment}", "augment.p=0.55", "schedule=augment_ramp", "loss=wgan")
    start_run(small_config("mlp", "steps=4", "log_every_steps=1", *words), "run")
    rises = [0.55 * (1 - math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert seen == pytest.approx(rises)
    assert [line["augment/p"] for line in logged_lines(RunDir("run").metrics)] == pytest.approx(rises)


@pytest.mark.parametrize("words", [(), ("conditional=true",), ("loss=rpgan",)])
def test_no_batch_is_passed_over(words: tuple[str, ...], in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own batch for G too, an epoch is whole: each image once."""
    drawn: list[int] = []
    original = Batches.draw

    def noting(self: Batches, number: int, *rest: Any) -> Batch:
        drawn.append(number)
        return original(self, number, *rest)

    monkeypatch.setattr(Batches, "draw", noting)
    start_run(small_config("mlp", "steps=4", "n_critic=3", *words), "run")
    assert drawn == list(range(16 if words else 12))


def test_a_lazy_penalty_is_in_the_gradients_norms(in_tmp: Path) -> None:
    """Though it applies to a few updates only, none of which is a logged one."""
    config = small_config("mlp", "steps=40", "log_every_steps=20", "penalty=r1", "penalty.every=8", "penalty.gamma=1e4")
    start_run(config, "run")
    first, second = logged_lines(RunDir.open("run").metrics)
    for line in (first, second):
        norm, largest = (line[f"{tag}/discriminator"] for tag in ("gradient_norm", "gradient_norm_max"))
        assert largest > 4 * norm and norm > 1.5 * line["gradient_norm/generator"]


def test_freed_memory_is_returned_before_and_after_samples(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the estimate of a run's memory takes for granted: no step is between the two."""
    seen: list[str] = []
    monkeypatch.setattr("gan_exp.runtime.heap._return_freed_memory", lambda: seen.append("returned"))
    for name, owner in (("sample", RunLog), ("progress", RunLog)):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, _do=original, _name=name: (seen.append(_name), _do(*given))[1])
    start_run(small_config("mlp", "steps=2", "log_every_steps=1", "sample_every_steps=2"), "run")
    around = ["returned", "sample", "returned"]
    assert seen == [*around, "progress", "progress", *around]
