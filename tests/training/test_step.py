"""The updates of one training step: which network changes, by which gradient, and what is reported."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from builders import assert_same, small_config
from gan_exp.data.packed import Batch, normalise
from gan_exp.losses import Hinge, NonSaturating
from gan_exp.penalties import R1
from gan_exp.training import step as step_module
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, UpdateInputs
from setups import discriminator_step, generator_step
from single_steps import CPU, SPEC, buffers, changed, latents, make, parameters, real_batch, rng_for


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_each_update_changes_one_network_only(model: str) -> None:
    state, step_config = make(model)
    generator, discriminator = parameters(state.generator), parameters(state.discriminator)
    discriminator_step(state, step_config, real_batch(), latents())
    assert_same(parameters(state.generator), generator)
    assert all(changed(discriminator, parameters(state.discriminator)))

    discriminator = parameters(state.discriminator)
    gradients = [parameter.grad.clone() for parameter in state.discriminator.parameters()]
    generator_step(state, step_config, latents(2))
    assert_same(parameters(state.discriminator), discriminator)
    assert all(changed(generator, parameters(state.generator)))
    # D keeps its gradients (their norm is logged) and is trained on.
    assert_same([parameter.grad for parameter in state.discriminator.parameters()], gradients)
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())
    discriminator_step(state, step_config, real_batch(), latents(3))
    assert all(changed(discriminator, parameters(state.discriminator)))


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_the_statistics_of_batch_norm_move_only_in_training_mode(model: str) -> None:
    state, step_config = make(model, "inference_fakes=true")
    before = buffers(state.generator)
    discriminator_step(state, step_config, real_batch(), latents())
    assert_same(buffers(state.generator), before)  # G made fakes by its moving averages, and left them as they were
    generator_step(state, step_config, latents())
    assert any(changed(before, buffers(state.generator)))

    state, step_config = make(model, "inference_fakes=false")
    discriminator_step(state, step_config, real_batch(), latents())
    assert any(changed(before, buffers(state.generator)))


def test_the_fakes_for_d_are_made_in_the_configured_mode() -> None:
    state, step_config = make("mlp", "inference_fakes=true")
    for _ in range(3):  # statistics that differ from any batch's
        generator_step(state, step_config, latents())
    expected = state.discriminator(copy.deepcopy(state.generator).eval()(latents(5)))
    report = discriminator_step(state, step_config, real_batch(), latents(5))
    torch.testing.assert_close(report.fake_logits, expected)

    state, step_config = make("mlp", "inference_fakes=false")
    expected = state.discriminator(copy.deepcopy(state.generator).train()(latents(5)))
    torch.testing.assert_close(discriminator_step(state, step_config, real_batch(), latents(5)).fake_logits, expected)


def test_one_update_follows_the_sum_of_both_terms_and_the_penalty() -> None:
    """With plain gradient descent the update is the gradient itself."""
    state, _ = make("mlp", "optimizer=sgd", "lr=0.1")
    step_config = StepConfig(NonSaturating(), R1(gamma=5.0))
    copied, batch = copy.deepcopy(state.discriminator), real_batch()
    with torch.no_grad():
        fake_images = copy.deepcopy(state.generator).train()(latents())
    real_images = normalise(batch.images).requires_grad_()
    real_logits, fake_logits = copied(real_images), copied(fake_images)
    (gradient_of_images,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    penalty = 2.5 * gradient_of_images.square().sum(dim=(1, 2, 3)).mean()
    loss = -real_logits.sigmoid().log().mean() - (1 - fake_logits.sigmoid()).log().mean()
    # The last bias has no part in the penalty.
    gradients = torch.autograd.grad(loss + penalty, list(copied.parameters()))

    before = parameters(state.discriminator)
    report = discriminator_step(state, step_config, batch, latents())
    for (name, value), gradient in zip(parameters(state.discriminator).items(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(report.loss, loss.detach())  # without the penalty
    assert report.penalty is not None
    torch.testing.assert_close(report.penalty, penalty.detach())


def test_split_updates_are_two_one_after_the_other() -> None:
    state, step_config = make("mlp", "optimizer=sgd", "lr=0.1", "split_updates=true")
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
    report = discriminator_step(state, step_config, batch, latents())
    torch.testing.assert_close(parameters(state.discriminator), parameters(copied), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(report.loss, (losses[0] + losses[1]) / 2)  # as the article prints it
    assert report.penalty is None


def test_the_generator_descends_its_loss_through_a_fixed_discriminator() -> None:
    state, _ = make("mlp", "optimizer=sgd", "lr=0.1")
    copied = copy.deepcopy(state.generator).train()
    loss = -state.discriminator(copied(latents())).mean()
    gradients = torch.autograd.grad(loss, list(copied.parameters()))
    before = parameters(state.generator)
    returned, _ = generator_step(state, StepConfig(Hinge()), latents())
    torch.testing.assert_close(returned, loss.detach())
    for (name, value), gradient in zip(parameters(state.generator).items(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("overrides", [(), ("penalty=r1",), ("split_updates=true",)])
def test_a_report_holds_no_graph(overrides: tuple[str, ...]) -> None:
    state, step_config = make("mlp", *overrides)
    report = discriminator_step(state, step_config, real_batch(), latents())
    loss, _ = generator_step(state, step_config, latents())
    for tensor in (*report, loss):
        assert tensor is None or (not tensor.requires_grad and tensor.grad_fn is None)
    assert report.real_logits.shape == report.fake_logits.shape == (16,)
    assert report.loss.shape == loss.shape == ()
    assert state.images_seen == 16


def test_weights_are_clipped_after_each_update() -> None:
    state, step_config = make("mlp", "loss=wgan", "loss.clip=0.02", "lr=0.1")
    before = parameters(state.generator)
    discriminator_step(state, step_config, real_batch(), latents())
    for parameter in state.discriminator.parameters():
        assert parameter.abs().max() <= 0.02
    assert any((parameter.abs() == 0.02).any() for parameter in state.discriminator.parameters())
    assert_same(parameters(state.generator), before)
    generator_step(state, step_config, latents())
    assert max(parameter.abs().max() for parameter in state.generator.parameters()) > 0.02
    state, step_config = make("mlp", "loss=wgan", "loss.clip=null", "lr=0.1")
    discriminator_step(state, step_config, real_batch(), latents())
    assert max(parameter.abs().max() for parameter in state.discriminator.parameters()) > 0.02


def test_a_lazy_update_without_the_penalty_is_one_without_it_at_all() -> None:
    batch = real_batch()
    first, step_config = make("mlp", "penalty=r1", "penalty.gamma=5", "optimizer=sgd")
    second, plain = make("mlp", "optimizer=sgd")
    report = discriminator_step(first, step_config, batch, latents(), penalty_weight=0.0)
    assert report.penalty is None
    discriminator_step(second, plain, batch, latents())
    assert_same(parameters(first.discriminator), parameters(second.discriminator))


def test_the_penalty_has_the_given_weight() -> None:
    """With plain gradient descent: w times the penalty's gradient on top of the loss's."""
    after = {}
    for weight in (0.0, 1.0, 4.0):
        state, step_config = make("mlp", "penalty=r1", "penalty.gamma=5", "optimizer=sgd", "lr=0.1")
        report = discriminator_step(state, step_config, real_batch(), latents(), penalty_weight=weight)
        after[weight] = torch.cat([parameter.detach().flatten() for parameter in state.discriminator.parameters()])
        if weight:
            assert report.penalty is not None
            after[f"penalty {weight}"] = report.penalty  # type: ignore[index]
    once, four_times = after[1.0] - after[0.0], after[4.0] - after[0.0]
    assert once.abs().max() > 1e-4
    torch.testing.assert_close(four_times, 4 * once, rtol=1e-3, atol=1e-6)
    assert torch.equal(after["penalty 1.0"], after["penalty 4.0"])  # type: ignore[index]  # without its weight


def test_both_networks_are_given_the_labels_of_the_reals() -> None:
    state, step_config = make("mlp", "conditional=true")
    given: list[Tensor] = []
    for network in (state.generator, state.discriminator):
        network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[1]))
    batch, other = real_batch(), Batch(real_batch(1).images, torch.arange(16) % 7)
    discriminator_step(state, step_config, batch, latents())
    assert len(given) == 3 and all(torch.equal(labels, batch.labels) for labels in given)
    given.clear()
    generator_step(state, step_config, latents(), batch=other)
    assert len(given) == 2 and all(torch.equal(labels, other.labels) for labels in given)


def test_a_step_without_random_numbers_that_needs_them_says_so() -> None:
    state, step_config = make("mlp", "instance_noise=0.1")
    with pytest.raises(ValueError, match="draws random numbers for noise/real: pass `rng_for`"):
        discriminator_step(state, step_config, real_batch(), latents())


@pytest.mark.parametrize("overrides", [[], ["conditional=true"], ["penalty=r1_r2"], ["loss=rpgan"], ["n_critic=2"]])
def test_reused_fakes_are_those_of_ds_last_update(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """G runs once less, and its update is the one that the same latents and labels would have made."""
    config = small_config("dcgan", "optimizer=sgd", "lr=0.1", *overrides)
    batches, fresh = [real_batch(seed) for seed in range(config.n_critic)], real_batch(7)
    inputs = [UpdateInputs(latents(seed), batch, rng_for) for seed, batch in enumerate(batches)]
    state, step_config = (
        build_state(config, SPEC, CPU),
        dataclasses.replace(build_step_config(config), reuse_fakes=True),
    )
    other = build_state(config, SPEC, CPU)

    made = []
    original = step_module.make_images
    monkeypatch.setattr(step_module, "make_images", lambda *given: made.append(original(*given)) or made[-1])
    train_step(state, step_config, inputs, UpdateInputs(latents(8), fresh, rng_for))
    assert len(made) == config.n_critic
    monkeypatch.setattr(step_module, "make_images", original)

    for update in inputs:
        statistics = buffers(other.generator)
        discriminator_step(other, step_config, update.batch, update.latents, rng_for)
    for name, value in other.generator.named_buffers():
        value.copy_(statistics[name])  # the last forward of G is not made twice
    generator_step(other, step_config, inputs[-1].latents, rng_for, inputs[-1].batch)
    torch.testing.assert_close(parameters(state.generator), parameters(other.generator))
    torch.testing.assert_close(parameters(state.discriminator), parameters(other.discriminator))
    torch.testing.assert_close(buffers(state.generator), buffers(other.generator))
