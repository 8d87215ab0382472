"""Traced and compiled steps against plain ones, on the CPU: the operations are those that a GPU would be given."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.training import gradient_norms, scoring
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.acceleration.programs import EARNS_BACK, Programs, pays, unfit
from gan_exp.training.acceleration.traced import Traced, TraceFailed
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.state import gradient_norm
from setups import Setup, tensors_of
from tape import TapeRecorder, values_kept

CPU = torch.device("cpu")
ARTICLE = ("mlp", "optimizer=keras_adam", "split_updates=true", "inference_fakes=true", "sampling=with_replacement")


@pytest.fixture(autouse=True)
def one_pass_of_d(monkeypatch: pytest.MonkeyPatch) -> None:
    """For reals and fakes, as on a GPU, where such steps are taken."""
    monkeypatch.setattr(scoring, "on_gpu", lambda images: True)


class Repeats(TapeRecorder):
    """A tape can't hold what a compiler has made, so it is run again in its place."""

    def record(self, run: Any, generators: Any) -> Any:
        with values_kept(self.tensors()):
            result = run()
        return result, run


@pytest.fixture(autouse=True)
def each_step_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_norms, "NORMS_EVERY", 1)


def compiled_setup(overrides: tuple[str, ...], folder: Path, backend: Any = None, **options: Any) -> Setup:
    setup = Setup(overrides, folder, **options)
    setup.said = []  # type: ignore[attr-defined]
    programs = Programs(setup.said.append, backend)  # type: ignore[attr-defined]
    scheduled = setup.config.schedule.beta2 is not None
    setup._step_fn = CapturedStep(
        setup.state, build_step_config(setup.config), CPU, scheduled, setup.warnings.append,
        (Repeats if backend else TapeRecorder)(lambda: tensors_of(setup.state)), programs,
    )  # fmt: skip
    return setup


def assert_close(found: Any, wanted: Any) -> None:
    if isinstance(found, Tensor):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
    elif isinstance(found, dict):
        assert found.keys() == wanted.keys()
        for key in found:
            assert_close(found[key], wanted[key])
    elif isinstance(found, list | tuple):
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
    else:
        assert found == (pytest.approx(wanted, rel=1e-6) if isinstance(found, float) else wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ARTICLE,
        ("mlp", "penalty=r1", "penalty.every=2", "schedule=r3gan", "pac=2"),
        # eps: a bias before BatchNorm has a gradient of rounding errors alone, which Adam would make steps of
        ("resnet", "spectral_norm=true", "conditional=true", "optimizer=adamw", "optimizer.generator.eps=0.01"),
        ("dcgan", "loss=rpgan", "penalty=r1_r2", "reuse_fakes=true", "n_critic=2"),
    ],
    ids="-".join,
)
def test_traced_steps_equal_plain_ones(overrides: tuple[str, ...], tmp_path: Path) -> None:
    """Weights, statistics, optimizers, reports and gradients; those of gradient penalties too."""
    plain = Setup(overrides, tmp_path / "plain").train(8)
    traced = compiled_setup(overrides, tmp_path / "traced").train(8)
    assert traced.warnings == [] and all("compiled in" in line for line in traced.said)  # type: ignore[attr-defined]
    assert_close(traced.outcome, plain.outcome)
    for network in ("generator", "discriminator"):
        norms = [gradient_norm(getattr(setup.state, network).parameters()) for setup in (traced, plain)]
        torch.testing.assert_close(*norms, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_the_compiler_gets_through_the_articles_step_and_resumes(tmp_path: Path) -> None:
    plain = Setup(ARTICLE, tmp_path / "plain").train(6)
    whole = compiled_setup(ARTICLE, tmp_path / "whole", "aot_eager").train(4)
    second = compiled_setup(ARTICLE, tmp_path / "second", "aot_eager", state=whole.state.state_dict()).train(2)
    assert_close(whole.train(2).outcome, plain.outcome)
    assert_same(second.state.state_dict(), whole.state.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("mlp", "loss=wgan", "loss.clip=0.005"), "steps: compiled in 0 s"),
        (("mlp", "loss=wgan", "penalty=wgan_gp"), "steps: not compiled (it draws random numbers on the device)"),
        (("mlp", "penalty=dragan"), "steps: not compiled (it draws random numbers on the device)"),
    ],
    ids=["clip", "wgan_gp", "dragan"],
)
def test_clipped_weights_and_penalties_that_draw(overrides: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """The first is compiled; the others step aside in the midst of a run, with no harm to its numbers."""
    plain = Setup(overrides, tmp_path / "plain").train(5)
    compiled = compiled_setup(overrides, tmp_path / "compiled", "aot_eager" if "clip" in overrides[-1] else None)
    compiled.train(5)
    assert_close(compiled.outcome, plain.outcome)
    assert [re.sub(r"in \d+ s", "in 0 s", line) for line in compiled.said] == [said]  # type: ignore[attr-defined]
    if "loss.clip=0.005" in overrides:
        assert all(p.abs().max() <= 0.005 for p in compiled.state.discriminator.parameters())


def test_what_cannot_be_traced_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(2))

    def step() -> list[Tensor]:
        weight.detach().add_(1)
        raise RuntimeError("no such kernel\nand more")

    with pytest.raises(TraceFailed, match=r"^no such kernel$"):
        Traced(step, [weight], None)
    assert torch.equal(weight, torch.ones(2))


def test_a_network_that_draws_is_not_compiled() -> None:
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(TraceFailed, match="it draws random numbers on the device"):
        Traced(lambda: [nn.functional.dropout(weight)], [weight], None)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("mlp",), None),
        (("mlp", "augment=ada"), "what D sees is drawn anew in each step"),
        (("mlp", "loss=wgan"), None),
        (("mlp", "loss=wgan", "penalty=wgan_gp"), "WGANGP draws random numbers in each step"),
        (("mlp", "penalty=dragan"), "DRAGAN draws random numbers in each step"),
        (("mlp", "penalty=r1_r2_fd"), "R1R2FiniteDifferences draws random numbers in each step"),
        (("mlp", "optimizer=sgd"), "SGD has no form that can be compiled"),
        (("mlp", "+optimizer.generator.amsgrad=true"), "Adam with amsgrad has no form that can be compiled"),
    ],
)
def test_what_steps_aside(overrides: tuple[str, ...], reason: str | None) -> None:
    config = small_config(*overrides)
    state = build_state(config, build_data(config, CPU).spec, CPU)
    assert unfit(state, build_step_config(config)) == reason


def test_compiling_must_earn_its_time_back() -> None:
    config = small_config("mlp")
    state = build_state(config, build_data(config, CPU).spec, CPU)
    assert pays(state, EARNS_BACK) is None
    assert pays(state, EARNS_BACK - 1) == "compiling pays from 25,000 steps on"
    convolutional = small_config("dcgan")
    state = build_state(convolutional, build_data(convolutional, CPU).spec, CPU)
    assert pays(state, EARNS_BACK) == "compiling convolutions takes minutes"
