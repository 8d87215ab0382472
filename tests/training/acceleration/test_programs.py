"""Traced and compiled steps against plain ones, on the CPU: the operations are those that a GPU would be given."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from builders import assert_same, small_config
from gan_exp.penalties import WGANGP, PenaltyInputs, RngFor
from gan_exp.training import gradient_norms, scoring
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.acceleration.programs import EARNS_BACK, Programs, pays, unfit
from gan_exp.training.acceleration.traced import Traced, TraceFailed, _allow_other_layouts
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.state import gradient_norm
from setups import Setup, tensors_of
from tape import TapeRecorder, values_kept

CPU = torch.device("cpu")
VIEW, RESHAPE = torch.ops.aten.view.default, torch.ops.aten.reshape.default
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
    ("overrides", "programs"),
    [
        (ARTICLE, 1),
        (("mlp", "penalty=r1", "penalty.every=2", "schedule=r3gan", "pac=2"), 2),
        # eps: a bias before BatchNorm has a gradient of rounding errors alone, which Adam would make steps of
        (("resnet", "spectral_norm=true", "conditional=true", "optimizer=adamw", "optimizer.generator.eps=0.01"), 1),
        (("resnet", "spectral_norm=true", "loss=hinge", "n_critic=3", "optimizer.generator.eps=0.01"), 2),
        (("dcgan", "loss=rpgan", "penalty=r1_r2", "reuse_fakes=true", "n_critic=2"), 2),
        (("mlp", "loss=wgan", "loss.clip=0.005", "n_critic=4", "conditional=true"), 2),
        (("mlp", "loss=wgan", "penalty=wgan_gp", "n_critic=3"), 2),
        (("mlp", "penalty=dragan", "penalty.every=3", "n_critic=2", "augment=diffaugment"), 3),
        (("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "n_critic=3", "instance_noise=0.1"), 3),
        (("dcgan", "augment=pipeline", "augment.p=0.9", "schedule=augment_ramp", "loss=rpgan", "penalty=r1_r2_fd"), 1),
        (("fastgan", "reuse_fakes=true", "penalty=r1", "penalty.every=2", "optimizer.generator.eps=0.01"), 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_traced_steps_equal_plain_ones(overrides: tuple[str, ...], programs: int, tmp_path: Path) -> None:
    """Weights, statistics, optimizers, reports and gradients; those of gradient penalties too."""
    plain = Setup(overrides, tmp_path / "plain").train(8)
    traced = compiled_setup(overrides, tmp_path / "traced").train(8)
    assert traced.warnings == [] and all("compiled in" in line for line in traced.said)  # type: ignore[attr-defined]
    assert len(traced.said) == programs  # type: ignore[attr-defined]
    assert_close(traced.outcome, plain.outcome)
    for network in ("generator", "discriminator"):
        norms = [gradient_norm(getattr(setup.state, network).parameters()) for setup in (traced, plain)]
        torch.testing.assert_close(*norms, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "steps"),
    [(ARTICLE, 4), (("mlp", "loss=wgan", "penalty=wgan_gp", "n_critic=2"), 1)],  # 1: `Repeats` can't draw anew
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_the_compiler_gets_through_the_step_and_resumes(overrides: tuple[str, ...], steps: int, tmp_path: Path) -> None:
    plain = Setup(overrides, tmp_path / "plain").train(steps + 2)
    whole = compiled_setup(overrides, tmp_path / "whole", "aot_eager").train(steps)
    second = compiled_setup(overrides, tmp_path / "second", "aot_eager", state=whole.state.state_dict()).train(2)
    assert_close(whole.train(2).outcome, plain.outcome)
    assert_same(second.state.state_dict(), whole.state.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("n_critic", [1, 3])
def test_what_draws_in_its_own_way_steps_aside(n_critic: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of a run, with no harm to its numbers."""
    original = WGANGP.__call__

    def drawing(self: WGANGP, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        return original(self, inputs, rng_for) * torch.rand((), generator=rng_for("own"))

    monkeypatch.setattr(WGANGP, "__call__", drawing)
    overrides = ("mlp", "loss=wgan", "penalty=wgan_gp", f"n_critic={n_critic}")
    plain = Setup(overrides, tmp_path / "plain").train(5)
    compiled = compiled_setup(overrides, tmp_path / "compiled").train(5)
    assert_close(compiled.outcome, plain.outcome)
    assert compiled.said == ["steps: not compiled (it draws random numbers on the device)"]  # type: ignore[attr-defined]


def test_what_cannot_be_traced_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(2))

    def step() -> list[Tensor]:
        weight.detach().add_(1)
        raise RuntimeError("no such kernel\nand more")

    with pytest.raises(TraceFailed, match=r"^no such kernel$"):
        Traced(lambda zero: step(), [torch.zeros(())], [weight], None)
    assert torch.equal(weight, torch.ones(2))


def test_views_may_be_copies_where_nothing_is_changed_in_place_later() -> None:
    """A compiler may lay out what is viewed in another way; what is added to must stay in the same memory."""
    kept = torch.ones(6)

    def function(numbers: Tensor) -> Tensor:
        first, second, third = numbers * 2, numbers * 3, numbers * 4
        second.view(-1).unsqueeze(0).add_(1)  # a change through the view
        earlier = third.view(-1).sum()
        torch._foreach_add_([kept, third], 1)
        again = kept.view(3, 2)
        kept.detach().add_(1)  # a change of what the trace holds
        return first.view(-1) + second.view(-1) + third.view(-1) + earlier + again.sum()

    graph = make_fx(function)(torch.ones(2, 3))
    _allow_other_layouts(graph)
    found = [node.target for node in graph.graph.nodes if node.target in (VIEW, RESHAPE)]
    assert found == [VIEW, VIEW, VIEW, RESHAPE, RESHAPE, RESHAPE]


def test_a_network_that_draws_is_not_compiled() -> None:
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(TraceFailed, match="it draws random numbers on the device"):
        Traced(lambda zero: [nn.functional.dropout(weight)], [torch.zeros(())], [weight], None)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("mlp",), None),
        (("mlp", "optimizer=sgd"), "SGD has no form that can be compiled"),
        (("mlp", "+optimizer.generator.amsgrad=true"), "Adam with amsgrad has no form that can be compiled"),
    ],
)
def test_what_steps_aside(overrides: tuple[str, ...], reason: str | None) -> None:
    config = small_config(*overrides)
    state = build_state(config, build_data(config, CPU).spec, CPU)
    assert unfit(state) == reason


def test_compiling_must_earn_its_time_back() -> None:
    config = small_config("mlp")
    state = build_state(config, build_data(config, CPU).spec, CPU)
    assert pays(state, EARNS_BACK) is None
    assert pays(state, EARNS_BACK - 1) == "compiling pays from 25,000 steps on"
    convolutional = small_config("dcgan")
    state = build_state(convolutional, build_data(convolutional, CPU).spec, CPU)
    assert pays(state, EARNS_BACK) == "its gain with convolutions has not been measured; fast_path=compiled tries it"
