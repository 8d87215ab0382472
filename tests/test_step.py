"""One step of the game: who moves in it, by what, and what it returns."""

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.build import build_rules, build_state
from gan_exp.data.packed import Batch, DataSpec, normalise
from gan_exp.losses import Hinge, NonSaturating
from gan_exp.penalties import R1
from gan_exp.state import TrainingState
from gan_exp.step import Rules, discriminator_step, generator_step

SHAPE = (1, 8, 8)
SPEC = DataSpec(SHAPE, num_classes=10)
CPU = torch.device("cpu")


def make(model: str, *overrides: str) -> tuple[TrainingState, Rules]:
    config = small_config(model, *overrides)
    return build_state(config, SPEC, CPU), build_rules(config)


def real_batch(seed: int = 0) -> Batch:
    images = torch.randint(256, (16, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(16) % 10)


def latents(seed: int = 1) -> Tensor:
    return torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def buffers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[bool]:
    return [not torch.equal(before[name], after[name]) for name in before]


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_each_step_moves_its_own_network_and_no_other(model: str) -> None:
    state, rules = make(model)
    generator, discriminator = parameters(state.generator), parameters(state.discriminator)
    discriminator_step(state, rules, real_batch(), latents())
    assert_same(parameters(state.generator), generator)
    assert all(moved(discriminator, parameters(state.discriminator)))

    discriminator = parameters(state.discriminator)
    gradients = [parameter.grad.clone() for parameter in state.discriminator.parameters()]
    generator_step(state, rules, latents(2))
    assert_same(parameters(state.discriminator), discriminator)
    assert all(moved(generator, parameters(state.generator)))
    # D keeps its own gradients (their norm is logged) and goes on to be trained.
    assert_same([parameter.grad for parameter in state.discriminator.parameters()], gradients)
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())
    discriminator_step(state, rules, real_batch(), latents(3))
    assert all(moved(discriminator, parameters(state.discriminator)))


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_the_statistics_of_batch_norm_move_only_in_training_mode(model: str) -> None:
    state, rules = make(model, "inference_fakes=true")
    before = buffers(state.generator)
    discriminator_step(state, rules, real_batch(), latents())
    assert_same(buffers(state.generator), before)  # G made fakes by its moving averages, and left them as they were
    generator_step(state, rules, latents())
    assert any(moved(before, buffers(state.generator)))

    state, rules = make(model, "inference_fakes=false")
    discriminator_step(state, rules, real_batch(), latents())
    assert any(moved(before, buffers(state.generator)))


def test_the_fakes_for_d_are_made_in_the_mode_that_the_rules_say() -> None:
    state, rules = make("mlp", "inference_fakes=true")
    for _ in range(3):  # statistics that differ from any batch's
        generator_step(state, rules, latents())
    expected = state.discriminator(copy.deepcopy(state.generator).eval()(latents(5)))
    report = discriminator_step(state, rules, real_batch(), latents(5))
    torch.testing.assert_close(report.fake_logits, expected)

    state, rules = make("mlp", "inference_fakes=false")
    expected = state.discriminator(copy.deepcopy(state.generator).train()(latents(5)))
    torch.testing.assert_close(discriminator_step(state, rules, real_batch(), latents(5)).fake_logits, expected)


def test_one_update_follows_the_sum_of_both_terms_and_the_penalty() -> None:
    """With plain gradient descent the update is the gradient itself."""
    state, _ = make("mlp", "optimizer=sgd", "lr=0.1")
    rules = Rules(NonSaturating(), R1(gamma=5.0))
    copied, batch = copy.deepcopy(state.discriminator), real_batch()
    with torch.no_grad():
        fake_images = copy.deepcopy(state.generator).train()(latents())
    real_images = normalise(batch.images).requires_grad_()
    real_logits, fake_logits = copied(real_images), copied(fake_images)
    (slope,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    penalty = 2.5 * slope.square().sum(dim=(1, 2, 3)).mean()
    loss = -real_logits.sigmoid().log().mean() - (1 - fake_logits.sigmoid()).log().mean()
    # The last bias has no part in the penalty.
    gradients = torch.autograd.grad(loss + penalty, list(copied.parameters()))

    before = parameters(state.discriminator)
    report = discriminator_step(state, rules, batch, latents())
    for (name, value), gradient in zip(parameters(state.discriminator).items(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(report.loss, loss.detach())  # the penalty is told apart
    assert report.penalty is not None
    torch.testing.assert_close(report.penalty, penalty.detach())


def test_split_updates_are_two_one_after_the_other() -> None:
    state, rules = make("mlp", "optimizer=sgd", "lr=0.1", "split_updates=true")
    copied, batch = copy.deepcopy(state.discriminator), real_batch()
    with torch.no_grad():
        fake_images = copy.deepcopy(state.generator).train()(latents())
    losses = []
    for images, sign in ((normalise(batch.images), -1), (fake_images, 1)):
        loss = torch.nn.functional.softplus(sign * copied(images)).mean()
        losses.append(loss.detach())
        with torch.no_grad():
            for parameter, gradient in zip(
                copied.parameters(), torch.autograd.grad(loss, list(copied.parameters())), strict=True
            ):
                parameter -= 0.1 * gradient
    report = discriminator_step(state, rules, batch, latents())
    torch.testing.assert_close(parameters(state.discriminator), parameters(copied), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(report.loss, (losses[0] + losses[1]) / 2)  # as the article prints it
    assert report.penalty is None


def test_the_generator_goes_down_its_loss_through_a_discriminator_that_stands_still() -> None:
    state, _ = make("mlp", "optimizer=sgd", "lr=0.1")
    copied = copy.deepcopy(state.generator).train()
    loss = -state.discriminator(copied(latents())).mean()
    gradients = torch.autograd.grad(loss, list(copied.parameters()))
    before = parameters(state.generator)
    returned = generator_step(state, Rules(Hinge()), latents())
    torch.testing.assert_close(returned, loss.detach())
    for (name, value), gradient in zip(parameters(state.generator).items(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("overrides", [(), ("penalty=r1",), ("split_updates=true",)])
def test_what_is_returned_holds_no_graph(overrides: tuple[str, ...]) -> None:
    state, rules = make("mlp", *overrides)
    report = discriminator_step(state, rules, real_batch(), latents())
    loss = generator_step(state, rules, latents())
    for tensor in (*report, loss):
        assert tensor is None or (not tensor.requires_grad and tensor.grad_fn is None)
    assert report.real_logits.shape == report.fake_logits.shape == (16,)
    assert report.loss.shape == loss.shape == ()
    assert state.images_seen == 16


@pytest.mark.parametrize(
    "choice", list(itertools.product(("mlp", "dcgan"), ("non_saturating", "hinge", "lsgan"), ("none", "r1")))
)
def test_every_model_loss_and_penalty_takes_steps(choice: tuple[str, str, str]) -> None:
    model, loss, penalty = choice
    state, rules = make(model, f"loss={loss}", f"penalty={penalty}")
    before = parameters(state.generator) | parameters(state.discriminator)
    for seed in range(2):
        report = discriminator_step(state, rules, real_batch(seed), latents(seed))
        generator_loss = generator_step(state, rules, latents(seed + 10))
    assert (report.penalty is None) == (penalty == "none")
    assert report.loss.isfinite() and generator_loss.isfinite()
    assert len(before) == len(parameters(state.generator) | parameters(state.discriminator))
    for network in (state.generator, state.discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.isfinite().all(), name
        assert any(parameter.grad.any() for parameter in network.parameters())
