"""`device.precision`: what is computed in bfloat16, and what stays in float32."""

import copy
import dataclasses
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import make_config
from gan_exp.config.contradictions import refuse_contradictions
from gan_exp.config.schema import DeviceConfig
from gan_exp.data.packed import normalise
from gan_exp.penalties import DRAGAN, R1R2, WGANGP, PenaltyInputs
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.decisions import decide_precision
from gan_exp.training.precision import choose_precision
from gan_exp.training.scoring import Scorer, make_images
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, UpdateInputs
from setups import Setup
from single_steps import CPU, SPEC, latents, make, real_batch, rng_for

NETWORKS = ("mlp", "dcgan", "resnet", "r3gan", "fastgan")
BF16 = "device.precision=bf16"


def penalty_gradient(
    state: TrainingState, config: StepConfig, penalty: Any, images: tuple[Tensor, Tensor], dtype: torch.dtype
) -> Tensor:
    """Of the penalty's mean with respect to all of D's parameters, one after the other."""
    state = copy.copy(state)
    state.discriminator = copy.deepcopy(state.discriminator).to(dtype)
    score = partial(Scorer(state, config, None, rng_for).score, "penalty")
    reals, fakes = (some.to(dtype).requires_grad_() for some in images)
    inputs = PenaltyInputs(score, reals, fakes, score(reals), score(fakes))
    parameters = list(state.discriminator.parameters())
    found = torch.autograd.grad(penalty(inputs, rng_for).mean(), parameters, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).double().flatten() for g, p in pairs])


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("model", NETWORKS)
def test_penalties_have_right_gradients_in_bfloat16(model: str) -> None:
    """Within a few of bfloat16's roundings (at most 2^-8 each) of float64, through both derivatives of every layer.

    The small MLP has fewer numbers to average over, and some of its units change their sign. Penalties that draw are
    compared with float32, which is as good as float64 here: they draw others in float64.
    """
    allowed = 0.15 if model == "mlp" else 0.03
    state, config = make(model, "penalty=wgan_gp", "loss=hinge")  # wgan_gp: without BatchNorm
    with torch.no_grad():  # R3GAN's blocks begin with zeros
        for seed, parameter in enumerate(state.discriminator.parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            parameter += 0.1 * noise / max(parameter[0].numel(), 1) ** 0.5
    images = normalise(real_batch().images), normalise(real_batch(1).images)
    bf16 = dataclasses.replace(config, precision="bf16")
    exact = penalty_gradient(state, config, R1R2(1.0), images, torch.float64)
    assert error(penalty_gradient(state, config, R1R2(1.0), images, torch.float32), exact) < 1e-4
    assert 1e-5 < error(penalty_gradient(state, bf16, R1R2(1.0), images, torch.float32), exact) < allowed
    for penalty in (WGANGP(1.0), DRAGAN(1.0)):
        exact = penalty_gradient(state, config, penalty, images, torch.float32)
        assert 1e-5 < error(penalty_gradient(state, bf16, penalty, images, torch.float32), exact) < allowed


@pytest.mark.parametrize("model", NETWORKS)
def test_what_a_network_returns_and_all_that_is_kept_is_float32(model: str) -> None:
    state, config = make(model, BF16, "penalty=r1")
    assert config.precision == "bf16"
    seen: list[torch.dtype] = []
    for network in (state.generator, state.discriminator):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(lambda layer, given, result: seen.append(result.dtype))
    images = make_images(state, config, latents(), None)
    logits, _ = Scorer(state, config, None, rng_for).score_reals(images)
    assert images.dtype == logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())  # the layer that makes them is computed in float32 too
    assert torch.bfloat16 in seen
    inputs = UpdateInputs(latents(), real_batch(), rng_for)
    report = train_step(state, config, [inputs], inputs)
    assert report.generator_loss.dtype == torch.float32
    assert all(tensor.dtype != torch.bfloat16 for tensor in state.tensors)
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        for kept in optimizer.state.values():
            assert all(value.dtype == torch.float32 for value in kept.values() if isinstance(value, Tensor))


def test_the_networks_without_a_step_compute_in_float32() -> None:
    """So grids, evaluations and samples do."""
    state, config = make("dcgan", BF16)
    plain = dataclasses.replace(config, precision="float32")
    state.generator.eval()
    with torch.no_grad():
        assert torch.equal(state.generator(latents()), make_images(state, plain, latents(), None))
        assert not torch.equal(state.generator(latents()), make_images(state, config, latents(), None))


def test_evaluations_and_grids_of_a_run_with_tf32_are_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Setup(("mlp",), tmp_path / "run").trainer
    seen: list[tuple[str, bool]] = []

    def note(*given: Any) -> dict[str, float]:
        seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        return {}

    trainer.evaluation = SimpleNamespace(measure=note, seconds=0.0)  # type: ignore[assignment]
    monkeypatch.setattr(trainer.log, "sample", note)
    monkeypatch.setattr(trainer.log, "exclude_time", lambda seconds: None)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        trainer.evaluate()
        trainer.sample()
        assert seen == [("highest", False)] * 2
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_a_resumed_run_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    words = "fastgan", BF16, "augment=diffaugment"
    whole = Setup(words, tmp_path / "whole").train(4)
    half = Setup(words, tmp_path / "half").train(2)
    resumed = Setup(words, tmp_path / "resumed", state=half.state.state_dict())
    resumed.train(2)
    for name, network in whole.state.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, resumed.state.networks[name].state_dict()[key]), (name, key)


def test_the_coarsest_stages_of_r3gan_compute_in_float32() -> None:
    state, config = make("r3gan", BF16)
    seen: list[torch.dtype] = []  # of each block: G's begin with the coarsest, and D's end with it
    for network in (state.generator, state.discriminator):
        for layer in network.modules():
            if type(layer).__name__ == "_Block":
                layer.layers[1].register_forward_hook(lambda layer, given, result: seen.append(result.dtype))
    Scorer(state, config, None, rng_for).score("fake", make_images(state, config, latents(), None))
    assert seen == [torch.float32, torch.bfloat16, torch.bfloat16, torch.float32]


def test_spectral_norms_are_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU autocast would take `mv` in bfloat16; a CPU's leaves it alone."""
    state, config = make("resnet", BF16, "spectral_norm=true")
    enabled: list[bool] = []
    product = torch.mv
    monkeypatch.setattr(torch, "mv", lambda *given: enabled.append(torch.is_autocast_enabled("cpu")) or product(*given))
    Scorer(state, config, None, rng_for).score("real", normalise(real_batch().images))
    assert enabled and not any(enabled)


def test_the_manual_step_steps_aside() -> None:
    state, config = make("mlp", BF16, "penalty=none")
    with pytest.raises(ValueError, match="bfloat16"):
        ManualStep(state, config)


@pytest.mark.parametrize(
    ("wanted", "kind", "has_bf16", "model", "chosen", "says"),
    [
        ("auto", "cuda", True, "dcgan", "bf16", "device.precision=float32 is slower"),
        ("auto", "cuda", False, "dcgan", "float32", "precision: float32"),
        ("auto", "cuda", True, "mlp", "float32", "precision: float32"),
        ("auto", "cpu", True, "dcgan", "float32", "device.precision=bf16, which is often faster"),
        ("auto", "cpu", False, "dcgan", "float32", "precision: float32"),
        ("auto", "mps", False, "dcgan", "float32", "precision: float32"),
        ("bf16", "cpu", False, "dcgan", "bf16", "this CPU has no instructions for it"),
        ("bf16", "cpu", True, "mlp", "bf16", "precision: bf16"),
        ("tf32", "cuda", True, "dcgan", "tf32", "precision: tf32"),
        ("tf32", "cpu", True, "dcgan", "tf32", "this CPU has no such numbers and computes in float32"),
        ("float32", "cuda", True, "dcgan", "float32", "precision: float32"),
    ],
)
def test_the_choice(
    wanted: str,
    kind: str,
    has_bf16: bool,
    model: str,
    chosen: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0) if has_bf16 else (7, 5))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    networks = build_state(make_config(f"model={model}"), SPEC, CPU).networks
    precision, line = choose_precision(wanted, torch.device(kind), networks)
    assert precision == chosen and says in line


@pytest.mark.parametrize(("words", "chosen"), [((), "bf16"), (("penalty.sigma=0.01",), "float32")])
def test_auto_heeds_what_bfloat16_is_too_coarse_for(
    words: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    config = make_config("model=resnet", "penalty=r1_r2_fd", "device.precision=auto", *words)
    state = build_state(config, SPEC, CPU)
    config, line = decide_precision(config, state, torch.device("cuda"))
    refuse_contradictions(config)
    assert config.device.precision == chosen
    assert ("too coarse for penalty.sigma=0.01" in line) == (chosen == "float32")


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_the_line_says_what_grids_and_evaluations_are_in(precision: str) -> None:
    line = choose_precision(precision, CPU, {})[1]
    assert line.endswith("; grids, evaluations and samples are in float32")


@pytest.mark.parametrize(
    ("keys", "precision"),
    [({"tf32": True}, "tf32"), ({"tf32": False}, "float32"), ({}, "float32"), ({"precision": "bf16"}, "bf16")],
)
def test_runs_of_before_had_another_key_or_none(keys: dict[str, Any], precision: str) -> None:
    given = {"name": "cpu", "index": 0, "threads": None, "deterministic": False}
    assert DeviceConfig.model_validate({**given, **keys}).precision == precision


def test_the_step_has_the_runs_precision() -> None:
    assert build_step_config(make_config(BF16)).precision == "bf16"
    assert build_step_config(make_config("device.precision=tf32")).precision == "tf32"
