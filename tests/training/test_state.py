"""The averaged generator, scaled learning rates, and a state that is saved and loaded."""

import copy

import pytest
import torch
from torch import nn

from builders import assert_same, small_config
from gan_exp.data.packed import Batch, DataSpec
from gan_exp.losses import Wasserstein
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.state import TrainingState, gradient_norm
from gan_exp.training.step import apply_gradients
from setups import discriminator_step, generator_step

SHAPE = (1, 8, 8)
SPEC = DataSpec(SHAPE, num_classes=10)
CPU = torch.device("cpu")


def averaged_state(value: float = 1.0) -> TrainingState:
    """A generator of a BatchNorm layer in float64, whose weights are `value`; the average's are zero."""
    generator = nn.BatchNorm1d(3).double()
    average = copy.deepcopy(generator).requires_grad_(False)
    nn.init.constant_(generator.weight, value)
    nn.init.zeros_(average.weight)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    return TrainingState(generator, nn.Linear(1, 1), average, optimizer, optimizer)


@pytest.mark.parametrize("batch_size", [10, 50, 200])
def test_the_distance_halves_in_a_half_life(batch_size: int) -> None:
    state = averaged_state()
    state.step = 10**9  # long past the ramp
    for _ in range(1000 // batch_size):
        state.update_ema(halflife_images=1000, batch_size=batch_size)
    torch.testing.assert_close(state.generator_ema.weight, torch.full((3,), 0.5, dtype=torch.float64))


def test_the_average_is_the_sum_that_its_definition_gives() -> None:
    state, expected = averaged_state(), 0.0
    for step, value in enumerate((1.0, -2.0, 0.5, 4.0, 4.0), start=100):
        nn.init.constant_(state.generator.weight, value)
        state.step = step
        state.update_ema(halflife_images=40, batch_size=8, ramp_up=0.05)
        beta = 0.5 ** (8 / min(40, 0.05 * step * 8))
        expected = beta * expected + (1 - beta) * value
        assert state.generator_ema.weight[0].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("ramp_up", "halflife"), [(0.05, 20), (0.5, 200), (100.0, 1000), (None, 1000)])
def test_a_ramp_up_bounds_the_half_life_by_its_share_of_the_images_seen(ramp_up: float | None, halflife: int) -> None:
    """Without one the configured half-life holds from the first step on."""
    state = averaged_state()
    state.step = 40  # 400 images seen
    state.update_ema(halflife_images=1000, batch_size=10, ramp_up=ramp_up)
    assert state.generator_ema.weight[0].item() == pytest.approx(1 - 0.5 ** (10 / halflife))


def test_batch_norms_statistics_are_averaged_as_the_weights_are() -> None:
    state = averaged_state()
    state.generator.running_mean.fill_(8)
    state.generator.running_var.fill_(5)  # from 1
    state.update_ema(halflife_images=100, batch_size=200)
    for tensor, value in ((state.generator_ema.weight, 0.75), (state.generator_ema.running_mean, 6.0)):
        torch.testing.assert_close(tensor, torch.full((3,), value, dtype=torch.float64))
    torch.testing.assert_close(state.generator_ema.running_var, torch.full((3,), 4.0, dtype=torch.float64))


def test_other_buffers_are_copied() -> None:
    """A spectral norm's vectors of length 1, a count of batches: an average would mean nothing."""
    state = averaged_state()
    state.generator.register_buffer("vector", torch.zeros(2))
    state.generator.num_batches_tracked.fill_(12)
    state = TrainingState(
        state.generator, state.discriminator, copy.deepcopy(state.generator), state.generator_optimizer,
        state.discriminator_optimizer,
    )  # fmt: skip
    state.generator.vector.fill_(7)
    state.generator.num_batches_tracked.fill_(13)
    state.update_ema(halflife_images=1e9, batch_size=1)
    assert state.generator_ema.num_batches_tracked == 13
    state.generator.vector.fill_(8)
    assert state.generator_ema.vector[0] == 7  # a copy, not the same memory


def test_frozen_parameters_stay_frozen() -> None:
    """A pretrained backbone in D: neither trained, thawed nor clipped."""
    discriminator = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    discriminator[0].requires_grad_(False)
    backbone = copy.deepcopy(discriminator[0].weight)
    generator = nn.Linear(1, 1)
    optimizer = torch.optim.SGD([*generator.parameters(), *discriminator[1].parameters()], lr=0.1)
    state = TrainingState(generator, discriminator, generator, optimizer, optimizer)
    state.freeze_discriminator(True)
    assert not any(parameter.requires_grad for parameter in discriminator.parameters())
    state.freeze_discriminator(False)
    assert [parameter.requires_grad for parameter in discriminator.parameters()] == [False, False, True, True]
    Wasserstein(clip=1e-3).constrain_weights(state.discriminator_parameters)
    assert discriminator[1].weight.abs().max() <= 1e-3
    assert torch.equal(discriminator[0].weight, backbone)


def test_without_a_half_life_there_is_no_second_generator() -> None:
    state = build_state(small_config("mlp", "ema_halflife_kimg=0"), SPEC, CPU)
    assert state.generator_ema is state.generator and not state.averages
    before = copy.deepcopy(state.generator.state_dict())
    state.update_ema(0, 16)
    assert_same(dict(before), dict(state.generator.state_dict()))
    assert "generator_ema" not in state.state_dict()


def test_the_average_starts_as_the_generator_and_is_not_trained() -> None:
    state = build_state(small_config("mlp"), SPEC, CPU)
    assert_same(dict(state.generator.state_dict()), dict(state.generator_ema.state_dict()))
    assert not any(parameter.requires_grad for parameter in state.generator_ema.parameters())


def test_learning_rate_factors_are_of_the_initial_rate() -> None:
    state = build_state(small_config("mlp", "lr=1e-3", "optimizer.discriminator.lr=4e-3"), SPEC, CPU)
    for factor in (0.5, 0.1, 1.0, 0.25):
        state.scale_optimizers(factor, 1.0)
        assert state.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * factor)
        assert state.discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(4e-3 * factor)
    other = build_state(small_config("mlp"), SPEC, CPU)
    other.load_state_dict(copy.deepcopy(state.state_dict()))
    other.scale_optimizers(1.0, 1.0)
    assert other.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "dcgan"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd", "keras_adam"])
def test_a_state_comes_back_whole(model: str, optimizer: str) -> None:
    config = small_config(model, f"optimizer={optimizer}")
    state, other, step_config = (
        build_state(config, SPEC, CPU),
        build_state(config, SPEC, CPU),
        build_step_config(config),
    )
    batch = Batch(torch.randint(256, (16, *SHAPE), dtype=torch.uint8), None)
    discriminator_step(state, step_config, batch, torch.randn(16, 8))
    generator_step(state, step_config, torch.randn(16, 8))
    state.step += 1
    state.update_ema(100, 16)
    other.load_state_dict(copy.deepcopy(state.state_dict()))
    assert (other.step, other.images_seen) == (1, 16)
    assert_same(state.state_dict(), other.state_dict())


def test_the_seed_decides_the_start() -> None:
    first, again, other = (build_state(small_config("mlp", f"seed={seed}"), SPEC, CPU) for seed in (3, 3, 4))
    assert_same(dict(first.generator.state_dict()), dict(again.generator.state_dict()))
    assert not torch.equal(first.generator_parameters[0], other.generator_parameters[0])


def test_building_leaves_the_global_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    build_state(small_config("mlp"), SPEC, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradient_norm() -> None:
    layer = nn.Linear(2, 1)
    assert gradient_norm(layer.parameters()) == 0
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 4.0]]), torch.tensor([12.0])
    assert gradient_norm(layer.parameters()).item() == pytest.approx(13)


def test_the_norm_is_of_the_gradients_of_its_update() -> None:
    """Plain gradient descent shows them in its step; those that the other network left don't count."""
    network, other = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.5) for part in (other, network)]
    state = TrainingState(other, network, other, *optimizers)
    before = torch.cat([value.detach().flatten().clone() for value in network.parameters()])
    loss = other(network(torch.ones(1, 3))).square().sum()
    loss.backward()
    norm = apply_gradients(state.discriminator_optimizer, state.discriminator_parameters, measured=True)
    after = torch.cat([value.detach().flatten() for value in network.parameters()])
    assert norm is not None and norm.item() == pytest.approx((after - before).norm().item() / 0.5, rel=1e-4)
    assert apply_gradients(state.generator_optimizer, state.generator_parameters, measured=False) is None


def test_what_the_average_has_in_common_is_saved_once() -> None:
    """Before the first step all of it; the file of an average that differs holds both, and either loads."""
    config = small_config("mlp")
    state = build_state(config, SPEC, CPU)
    content = state.state_dict()
    assert_same(content["generator_ema"], content["generator"])
    for name, tensor in content["generator_ema"].items():
        assert tensor.data_ptr() == content["generator"][name].data_ptr()
    with torch.no_grad():
        state.generator_parameters[0].add_(1)
    content = copy.deepcopy(state.state_dict())
    apart = [name for name, own in content["generator"].items() if not torch.equal(own, content["generator_ema"][name])]
    assert len(apart) == 1
    other = build_state(config, SPEC, CPU)
    other.load_state_dict(content)
    assert_same(other.state_dict(), content)
