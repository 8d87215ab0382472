"""Activations that are computed twice: the same step, in less memory."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from builders import SMALL, small_config
from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.models.checkpointing import with_checkpointing
from gan_exp.training import build as build_module
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.counting import Counting
from gan_exp.training.step import train_step
from gan_exp.training.step_types import UpdateInputs
from parts_of_batches import float64
from single_steps import CPU, SPEC, latents, real_batch, rng_for

IMAGE_MODELS = [name for name in SMALL if name != "points"]
PENALTIES = ("none", "r1_r2", "wgan_gp")


def outcome(*words: str, exact: bool = True, steps: int = 1) -> dict[str, Any]:
    """All that steps leave: weights, buffers, gradients and losses; `exact` in float64."""
    config = small_config(*words)
    found: dict[str, Any] = {}
    with float64() if exact else nullcontext():
        state = build_state(config, SPEC, CPU)
        for step in range(steps):
            inputs = UpdateInputs(latents(step).to(torch.get_default_dtype()), real_batch(step), rng_for, measured=True)
            report = train_step(state, build_step_config(config), [inputs], inputs)
            last = report.discriminator[-1]
            found[f"step {step}"] = [report.generator_loss, last.loss, last.real_logits, last.fake_logits]
    for name, network in state.networks.items():
        found |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        found |= {f"{name}.{key}.grad": value.grad for key, value in network.named_parameters()}
    return found


def assert_equal(one: dict[str, Any], other: dict[str, Any], within: float = 1e-12) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(
            value, other[key], rtol=within, atol=within, msg=lambda why, key=key: f"{key}: {why}"
        )


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("model", IMAGE_MODELS)
def test_it_is_the_plain_step(model: str, penalty: str) -> None:
    words = (model, f"penalty={penalty}")
    assert_equal(outcome(*words), outcome(*words, "model.checkpointing=true"))


@pytest.mark.parametrize(
    "words",
    [
        ("resnet", "spectral_norm=true", "penalty=r1"),
        ("resnet", "spectral_norm=true", "conditional=true", "reuse_fakes=true"),
        ("dcgan", "conditional=true", "penalty=r1", "micro_batch_size=8"),
        ("fastgan", "penalty=r1_r2", "augment=diffaugment", "reuse_fakes=true"),
        ("r3gan", "penalty=r1_r2", "loss=rpgan", "conditional=true", "pac=1"),
        ("resnet", "penalty=dragan", "penalty.every=2", "n_critic=2"),
        ("mlp", "split_updates=true", "inference_fakes=true"),
    ],
)
def test_it_goes_with_other_settings(words: tuple[str, ...]) -> None:
    """Spectral normalisation turns its vectors once, BatchNorm moves its averages once, and draws are the same."""
    assert_equal(outcome(*words), outcome(*words, "model.checkpointing=true"))


def test_under_autocast() -> None:
    """The second time in the same precision: in float32 the gradients differ by more."""

    def gradients(*more: str) -> torch.Tensor:
        found = outcome("resnet", "penalty=r1", *more, exact=False)
        return torch.cat([value.flatten() for key, value in found.items() if key.endswith("grad")])

    half, exact = ("device.precision=bf16", "device.precision=float32")
    plain, twice = gradients(half), gradients(half, "model.checkpointing=true")
    assert (twice - plain).norm() < 0.3 * (gradients(exact) - plain).norm()


@pytest.mark.parametrize("model", IMAGE_MODELS)
def test_both_networks_of_every_model_take_part(model: str) -> None:
    spec = DataSpec((1, 16, 16))
    state = build_state(small_config(model, "model.checkpointing=true"), spec, CPU)
    images = torch.zeros(2, *spec.image_shape)
    for results in (state.generator(latents()[:2]), state.discriminator(images)):
        assert "_RecomputedBackward" in nodes(results.grad_fn)


def nodes(node: Any) -> set[str]:
    """The names of all that lead to `node`."""
    found, left = set(), [node]
    while left:
        node = left.pop()
        found.add(node.name())
        left += [before for before, _ in node.next_functions if before is not None]
    return found


@pytest.mark.parametrize("penalty", ["none", "r1_r2"])
def test_a_step_keeps_less(penalty: str) -> None:
    def peak(*more: str) -> int:
        config = small_config("r3gan", f"penalty={penalty}", "model.discriminator.blocks=4", *more)
        state = build_state(config, SPEC, CPU)
        inputs = UpdateInputs(latents(), real_batch(), rng_for)
        train_step(state, build_step_config(config), [inputs], inputs)
        with Counting([]) as counting:
            train_step(state, build_step_config(config), [inputs], inputs)
        return counting.peak

    assert peak("model.checkpointing=true") < 0.6 * peak()


def test_what_it_does_not_suit_is_refused() -> None:
    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

    with pytest.raises(ValueError, match=r"^Without has no nn\.Sequential, and names no other modules as its `seg"):
        with_checkpointing(Without())
    dropout = nn.Module()
    dropout.layers = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    with pytest.raises(ValueError, match="has dropout"):
        with_checkpointing(dropout)


def test_the_refusal_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(network: nn.Module) -> None:
        raise ValueError("Mine has dropout")

    monkeypatch.setattr(build_module, "with_checkpointing", refuse)
    config = small_config("mlp", "model.checkpointing=true")
    with pytest.raises(UserError, match=r"^model\.checkpointing=true: Mine has dropout; set model\."):
        build_state(config, SPEC, CPU)
