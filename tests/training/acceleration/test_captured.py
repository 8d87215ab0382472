"""Captured steps against plain ones, with a tape in CUDA's place: the same kernels again, and no Python."""

import copy
import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.penalties import WGANGP, PenaltyInputs, RngFor
from gan_exp.training import gradient_norms, scoring
from gan_exp.training.acceleration.captured import WARM_UPS, CapturedStep, unfit
from gan_exp.training.acceleration.cuda_recorder import CaptureFailed
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.state import TrainingState, gradient_norm
from setups import Setup, tensors_of
from tape import TapeRecorder

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
EXACT_LR = f"lr={2**-11}"  # the same number in float32: then even the rounding is the same
ARTICLE = ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true", "sampling=with_replacement")
R3GAN = (
    "r3gan",
    "loss=rpgan",
    "penalty=r1_r2",
    "schedule=r3gan",
    "conditional=true",
    "optimizer.generator.betas=[0.0,0.9]",
)


@pytest.fixture(autouse=True)
def one_pass_of_d(monkeypatch: pytest.MonkeyPatch) -> None:
    """For reals and fakes, as on a GPU, where such steps are taken."""
    monkeypatch.setattr(scoring, "on_gpu", lambda images: True)


@pytest.fixture(autouse=True)
def a_cpu_that_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch lets its capturable RMSprop run on GPUs only."""
    for name in ("rmsprop", "adam"):
        module = importlib.import_module(f"torch.optim.{name}")
        monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda supports_xla=True: ["cpu"])


@pytest.fixture(autouse=True)
def each_step_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the gradients' norms are compared in each step, and make no further patterns."""
    monkeypatch.setattr(gradient_norms, "NORMS_EVERY", 1)


def taped(state: TrainingState) -> TapeRecorder:
    return TapeRecorder(lambda: tensors_of(state))


def both_setups(overrides: tuple[str, ...], folder: Path) -> tuple[Setup, Setup]:
    return Setup(overrides, folder / "plain"), Setup(overrides, folder / "captured", True, taped)


def assert_close(first: Any, second: Any, where: str = "") -> None:
    """Through containers, as many digits as chaos leaves."""
    if isinstance(first, Tensor):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5, msg=lambda text: f"{where}: {text}")
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_close(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_close(one, other, f"{where}[{index}]")
    else:
        assert first == (pytest.approx(second, rel=1e-6) if isinstance(first, float) else second), where


@pytest.mark.parametrize(
    ("overrides", "patterns"),
    [
        (("mlp",), 1),
        (("mlp", "reuse_fakes=true", "loss=rpgan", "n_critic=2"), 1),
        (("mlp", "optimizer=sgd", "optimizer.generator.momentum=0.9"), 1),
        (("mlp", "loss=wgan", "loss.clip=0.05", "n_critic=3", "optimizer=adamw"), 1),
        (("dcgan", "instance_noise=0.1", "conditional=true", "ema_halflife_kimg=0.05"), 1),
        (("dcgan", "augment=diffaugment", "penalty=r1", "penalty.every=1"), 1),
        (("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "n_critic=3"), 2),
        (("mlp", "augment=ada", "augment.every=1", "augment.images_to_one=200", "loss=lsgan"), 1),
        (("dcgan", "augment=pipeline", "augment.p=0.9", "schedule=augment_ramp", "steps=30", "loss=rpgan"), 1),
        (("mlp", "loss=wgan", "loss.clip=null", "penalty=wgan_gp", "n_critic=5"), 1),
        (("mlp", "penalty=r1", "penalty.every=4", "pac=2", "instance_noise=0.1"), 2),
        (("mlp", "penalty=dragan", "penalty.every=3", "n_critic=2", "augment=diffaugment"), 3),
        (("resnet", "spectral_norm=true", "loss=hinge"), 1),
        (("points", "dataset=ring", "dataset.count=500", "loss=rpgan", "penalty=r1_r2_fd", "latent_dim=2"), 1),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_captured_steps_equal_plain_ones_to_the_last_bit(
    overrides: tuple[str, ...], patterns: int, tmp_path: Path
) -> None:
    """Where the learning rate is the same number in float32; also with lazy penalties."""
    plain, captured = both_setups((*overrides, EXACT_LR), tmp_path)
    if "penalty.every" in str(overrides):  # StyleGAN2's factor on lr
        for setup in (plain, captured):
            (group,) = setup.state.discriminator_optimizer.param_groups
            group["lr"] = 2**-12
    plain.train(20)
    captured.train(20)
    assert (captured.recorder.recordings, captured.warnings) == (patterns, [])
    assert captured.recorder.warm_ups == WARM_UPS * patterns and captured.recorder.replays > 8
    assert_same(captured.outcome, plain.outcome)
    for network in ("generator", "discriminator"):
        norms = [gradient_norm(getattr(setup.state, network).parameters()) for setup in (plain, captured)]
        assert norms[0] == norms[1]


@pytest.mark.parametrize("augment", ["augment=diffaugment", "instance_noise=0.1"])
def test_a_penalty_that_draws_calls_d_and_draws_again(
    augment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D draws for its own augmentation in between; the numbers of both are the same in a graph."""
    original = WGANGP.__call__

    def drawing(self: WGANGP, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        generator = rng_for("own")
        before = torch.rand((), generator=generator)
        value = original(self, inputs, rng_for)
        return value * before + torch.rand(value.shape, generator=generator) * inputs.score(inputs.real_images)

    monkeypatch.setattr(WGANGP, "__call__", drawing)
    overrides = ("mlp", augment, "loss=hinge", "penalty=wgan_gp", EXACT_LR)
    plain, captured = (setup.train(10) for setup in both_setups(overrides, tmp_path))
    assert captured.recorder.replays == 10 - WARM_UPS
    assert_same(captured.outcome, plain.outcome)


@pytest.mark.parametrize(
    "overrides",
    [
        (*ARTICLE, EXACT_LR),
        (*ARTICLE, "schedule=linear", "schedule.lr.start=0.0"),
        ("mlp", "schedule=cosine", "+optimizer.discriminator.weight_decay=0.01", "penalty=r1", "penalty.every=1"),
        R3GAN,
        ("mlp", "schedule=r3gan", "optimizer=adamw"),
        ("mlp", "schedule=r3gan", "optimizer=keras_adam"),
        ("mlp", "loss=wgan", "optimizer=rmsprop", "n_critic=2"),
        ("mlp", "+optimizer.generator.fused=false", "+optimizer.discriminator.foreach=true"),
    ],
    ids="-".join,
)
def test_captured_steps_equal_plain_ones_up_to_rounding(overrides: tuple[str, ...], tmp_path: Path) -> None:
    overrides = (*overrides, "steps=15")
    plain, captured = (setup.train(15) for setup in both_setups(overrides, tmp_path))
    assert captured.recorder.replays == 15 - WARM_UPS
    assert_close(captured.outcome, plain.outcome)


def test_steps_that_are_measured_have_their_own_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_norms, "NORMS_EVERY", 3)
    plain, captured = (setup.train(25) for setup in both_setups((*ARTICLE, EXACT_LR, "log_every_steps=7"), tmp_path))
    assert (captured.recorder.recordings, captured.recorder.warm_ups) == (2, 2 * WARM_UPS)
    measured = [step for step, report in enumerate(captured.reports, 1) if report.generator_gradient_norm is not None]
    assert measured == [3, 6, 7, 9, 12, 14, 15, 18, 21, 24]
    assert_close(captured.outcome, plain.outcome)


@pytest.mark.parametrize("overrides", [ARTICLE, R3GAN, ("mlp", "optimizer=rmsprop"), ("mlp", "optimizer=sgd")])
def test_checkpoints_pass_between_the_paths(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """A checkpoint that is loaded into a captured state replaces it."""
    reference = Setup(overrides, tmp_path / "a", True, taped).train(14)
    first = Setup(overrides, tmp_path / "b", True, taped).train(7)
    torch.save(first.state.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    second = Setup(overrides, tmp_path / "c", True, taped).train(6)  # these steps are forgotten
    second.state.load_state_dict(copy.deepcopy(loaded))
    assert_same(second.train(7).state.state_dict(), reference.state.state_dict())
    assert second.recorder.recordings == 2  # once before loading and once after
    plain = Setup(overrides, tmp_path / "d")
    plain.state.load_state_dict(copy.deepcopy(loaded))
    assert_close(plain.train(7).state.state_dict(), reference.state.state_dict())
    onward = Setup(overrides, tmp_path / "e", True, taped)
    onward.state.load_state_dict(copy.deepcopy(plain.state.state_dict()))
    assert_close(onward.train(1).state.state_dict(), plain.train(1).state.state_dict())


class Reading(nn.Module):
    """Looks at its data in Python, which no graph can."""

    def forward(self, features: Tensor) -> Tensor:
        return features * 1.5 if features.sum().item() > 1e9 else features


class Broken(TapeRecorder):
    """A capture that stops in the middle of G's backward pass."""

    def record(self, run: Any, generators: Any) -> Any:
        super().record(run, generators)
        raise CaptureFailed("no memory")


@pytest.mark.parametrize("overrides", [ARTICLE, ("dcgan", "penalty=r1", "instance_noise=0.1")])
def test_a_failed_capture_changes_nothing(overrides: tuple[str, ...], tmp_path: Path) -> None:
    setup = Setup(overrides, tmp_path / "broken", True, lambda state: Broken(lambda: tensors_of(state)))
    reference = Setup(overrides, tmp_path / "whole", True, taped)
    assert_same(setup.train(12).outcome, reference.train(12).outcome)
    assert setup.warnings == ["no memory"] and (setup.recorder.recordings, setup.recorder.warm_ups) == (1, 12)
    assert all(parameter.requires_grad for parameter in setup.state.discriminator.parameters())


def test_a_step_that_looks_at_its_data_runs_without_a_graph(tmp_path: Path) -> None:
    setup = Setup(("mlp",), tmp_path / "run", True, taped)
    setup.state.discriminator.layers.append(Reading())  # type: ignore[operator,union-attr]
    setup.train(6)
    assert setup.warnings == ["the step waits for the GPU, which no graph can"] and setup.recorder.replays == 0


def test_a_step_that_draws_differently_each_time_runs_without_a_graph(tmp_path: Path) -> None:
    setup = Setup(("mlp", "instance_noise=0.1"), tmp_path / "run", True, taped).train(WARM_UPS)
    assert isinstance(setup._step_fn, CapturedStep)
    (warm_ups,) = setup._step_fn._warm_ups.values()
    warm_ups.requests.reverse()
    setup.train(2)
    assert setup.warnings == ["random numbers for noise/real are not drawn in the same order each time"]


def test_betas_that_change_unannounced_are_refused(tmp_path: Path) -> None:
    setup = Setup(("mlp", "schedule=r3gan"), tmp_path / "run")
    setup._step_fn = CapturedStep(setup.state, build_step_config(setup.config), CPU, recorder=taped(setup.state))
    with pytest.raises(ValueError, match="not announced"):
        setup.train(3)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("mlp",), None),
        (ARTICLE, None),
        (R3GAN, None),
        (("mlp", "optimizer=rmsprop", "augment=ada"), None),
        (("mlp", "optimizer=sgd", "optimizer.generator.fused=false"), "an SGD that is not fused reads"),
        (("mlp", "optimizer.discriminator._target_=torch.optim.NAdam"), "NAdam reads"),
        (("mlp", "schedule=r3gan", "optimizer.generator.amsgrad=true"), "amsgrad has no form"),
    ],
)
def test_what_can_be_captured(overrides: tuple[str, ...], reason: str | None) -> None:
    prefix = tuple(f"+{word}" if "fused" in word or "amsgrad" in word else word for word in overrides)
    config = small_config(*prefix)
    state = build_state(config, build_data(config, CPU).spec, CPU)
    scheduled = config.schedule.beta2 is not None
    assert unfit(state, CPU, scheduled) == "CUDA graphs need a CUDA GPU"
    found = unfit(state, torch.device("cuda"), scheduled)
    assert (found is None) if reason is None else (found is not None and found.startswith(reason))
