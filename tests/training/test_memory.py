"""The memory of a step, counted on tensors without values."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from builders import SMALL, assert_same, small_config
from gan_exp.config.schema import Config
from gan_exp.models import activation, layers
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.training import memory
from gan_exp.training.build import build_optimizer, build_state, build_step_config
from gan_exp.training.counting import Counting
from gan_exp.training.memory import META, Samples, StepMemory, is_short, step_memory
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import UpdateInputs
from single_steps import CPU, SPEC, latents, real_batch, rng_for

NONE = Samples(0)
PENALTIES = ("penalty=none", "penalty=r1_r2")


def count(
    config: Config,
    state: TrainingState,
    rows: int = 16,
    device: torch.device = META,
    kind: str = "cpu",
    samples: Samples = NONE,
) -> StepMemory:
    def optimizers(networks: Mapping[str, nn.Module]) -> Any:
        return [build_optimizer(config, f"optimizer.{name}", networks[name], device) for name in networks]

    of_step = state, build_step_config(config), SPEC, config.latent_dim, rows
    return step_memory(*of_step, optimizers, device, kind, samples)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("model", [name for name in SMALL if name != "points"])
def test_it_is_that_of_a_step_with_values(model: str, penalty: str) -> None:
    config = small_config(model, penalty, "reuse_fakes=true")
    state = build_state(config, SPEC, CPU)
    is_that_of_a_step(count(config, state), config, state)


def is_that_of_a_step(counted: StepMemory, config: Config, state: TrainingState) -> None:
    inputs = UpdateInputs(latents(), real_batch(), rng_for, measured=True)
    step_config = build_step_config(config)
    train_step(state, step_config, [inputs], inputs)  # the moments
    with Counting([*state.tensors, *tensors_between_steps(state)]) as counting:
        assert abs(counting.live / counted.lasting - 1) < 1e-3  # torch's step counts
        train_step(state, step_config, [inputs], inputs)
    assert counting.largest == counted.largest
    assert counted.peak is not None and abs(counting.peak / counted.peak - 1) < 0.02
    with_values = count(config, build_state(config, SPEC, CPU), device=CPU)
    assert with_values.peak is not None and abs(with_values.peak / counting.peak - 1) < 0.02
    assert abs(with_values.checkpoint - counted.checkpoint) < 100  # counters that are equal are kept once
    assert with_values.operations == counted.operations


@pytest.mark.parametrize("model", ["dcgan", "resnet", "r3gan"])
def test_for_a_gpu_it_is_that_of_the_forms_that_layers_have_there(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which they take here for once: matrix products, and derivatives of their own."""
    config = small_config(model, "penalty=r1_r2")
    state = build_state(config, SPEC, CPU)
    counted, on_cpu = (count(config, state, kind=kind) for kind in ("cuda", "cpu"))
    assert counted.peak != on_cpu.peak
    for module in (layers, activation):
        monkeypatch.setattr(module, "on_gpu", lambda tensor: True)
    is_that_of_a_step(counted, config, state)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_the_memory_is_that_of_merged_groups(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("r3gan", "penalty=r1_r2", "device.merged_groups=[8x8x8/4:2,16x4x4/4:4]")
    state = build_state(config, SPEC, CPU)
    if kind == "cuda":
        for module in (layers, activation):
            monkeypatch.setattr(module, "on_gpu", lambda tensor: True)
    is_that_of_a_step(count(config, state, kind=kind), config, state)


def tensors_between_steps(state: TrainingState) -> list[torch.Tensor]:
    gradients = [p.grad for p in (*state.generator_parameters, *state.discriminator_parameters) if p.grad is not None]
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    return gradients + [value for optimizer in optimizers for of in optimizer.state.values() for value in of.values()]


@pytest.mark.parametrize("device", [META, CPU], ids=str)
def test_counting_changes_nothing(device: torch.device) -> None:
    config = small_config("dcgan", "augment=ada", "penalty=r1")
    state, untouched = build_state(config, SPEC, CPU), build_state(config, SPEC, CPU)
    random = torch.get_rng_state()
    assert is_short(state, build_step_config(config), SPEC, config.latent_dim, 16)
    count(config, state, device=device)
    assert torch.equal(torch.get_rng_state(), random)
    assert_same(state.state_dict(), untouched.state_dict())


def test_long_steps_and_large_ones_are_not_counted_with_values(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("dcgan")
    state = build_state(config, SPEC, CPU)

    def short(rows: int = 16) -> bool:
        return is_short(state, build_step_config(config), SPEC, config.latent_dim, rows)

    assert short() and not short(rows=100_000)
    for limit, of_weights in (("MOST_OPERATIONS", 0.0), ("MOST_BYTES", 10.0)):
        weights = sum(tensor.nbytes for tensor in state.tensors)
        with monkeypatch.context() as patch:
            patch.setattr(memory, limit, of_weights * weights * 0.99)
            assert not short()


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("model", ["dcgan", "resnet", "r3gan"])
def test_samples_are_counted_beside_the_step(model: str, conditional: bool) -> None:
    """As what makes the grid and the doctor's samples takes, with values; the step's own count is the same."""
    config = small_config(model, f"conditional={str(conditional).lower()}", "micro_batch_size=4")
    state = build_state(config, SPEC, CPU)
    counted, on_cpu = (count(config, state, device=device, samples=Samples(300)) for device in (META, CPU))
    without = count(config, state)
    assert without.samples - without.lasting < 0.01 * (counted.samples - counted.lasting)
    assert (without.lasting, without.peak) == (counted.lasting, counted.peak)
    labels = torch.zeros(300, dtype=torch.long) if conditional else None
    noise = torch.zeros(300, config.latent_dim)
    with Counting([*state.tensors]) as counting:
        before = counting.live
        generate_all(state.generator_ema, noise, labels, chunk=at_once(SPEC.image_shape))
    for found in (counted, on_cpu):
        assert abs((found.samples - found.lasting) / (counting.peak - before) - 1) < 0.02
    assert without.operations == counted.operations == on_cpu.operations


def test_what_the_discriminator_scores_is_counted() -> None:
    config = small_config("dcgan", "model.discriminator.width=32")
    state = build_state(config, SPEC, CPU)
    alone, both = (count(config, state, samples=Samples(128, scored=scored)) for scored in (False, True))
    assert both.samples - both.lasting > 1.5 * (alone.samples - alone.lasting)


def test_micro_batches_take_less_and_further_ones_no_more() -> None:
    state = build_state(small_config("resnet"), SPEC, CPU)

    def peak(size: int, rows: int) -> int:
        found = count(small_config("resnet", f"batch_size={rows}", f"micro_batch_size={size}"), state, rows).peak
        assert found is not None
        return found

    assert peak(64, 64) > 1.5 * peak(32, 64) > 2 * peak(16, 64)
    assert peak(32, 256) < 1.1 * peak(32, 64)


@pytest.mark.parametrize("model", ["resnet", "r3gan"])
def test_bf16_takes_less(model: str) -> None:
    words = ("model.checkpointing=true", "penalty=r1") if model == "resnet" else ("penalty=r1_r2",)
    state = build_state(small_config(model, *words), SPEC, CPU)
    full, half = (count(small_config(model, *words, f"device.precision={p}"), state).peak for p in ("float32", "bf16"))
    assert full is not None and half is not None and half < full


def test_the_size_of_a_checkpoint() -> None:
    """With the moments that the first one doesn't have yet; without an average G's weights count once."""
    config, without = small_config("mlp"), small_config("mlp", "ema_halflife_kimg=0")
    state, plain = build_state(config, SPEC, CPU), build_state(without, SPEC, CPU)
    inputs = UpdateInputs(latents(), real_batch(), rng_for)
    train_step(state, build_step_config(config), [inputs], inputs)
    content = state.state_dict()
    size = sum(tensor.nbytes for tensor in tensors_in(content))
    assert count(config, state).checkpoint == size
    weights = sum(tensor.nbytes for tensor in state.generator.state_dict().values())
    assert count(without, plain).checkpoint == size - weights


def tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]


def test_a_class_that_looks_at_values_is_unknown() -> None:
    config = small_config("mlp")
    state = build_state(config, SPEC, CPU)

    class Looking(nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features * features.max().item()

    state.discriminator.layers[1] = Looking()  # type: ignore[operator, index]
    found = count(config, state)
    assert found.peak is None and "item" in found.why_unknown and found.checkpoint > 0
