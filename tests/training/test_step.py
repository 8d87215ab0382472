"""One step of the game: who moves in it, by what, and what it returns."""

import copy
import dataclasses
import itertools
from typing import Any, cast

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.config import catalog
from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.data.packed import Batch, DataSpec, normalise
from gan_exp.losses import Hinge, NonSaturating, RelativisticPairing
from gan_exp.penalties import R1, PenaltyInputs, RngFor
from gan_exp.runtime.randomness import Streams
from gan_exp.training import step as step_module
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.state import TrainingState
from gan_exp.training.step import StepConfig, UpdateInputs, train_step
from setups import discriminator_step, generator_step

SHAPE = (1, 8, 8)
SPEC = DataSpec(SHAPE, num_classes=10)
CPU = torch.device("cpu")


def make(model: str, *overrides: str) -> tuple[TrainingState, StepConfig]:
    config = small_config(model, *overrides)
    return build_state(config, SPEC, CPU), build_step_config(config)


def real_batch(seed: int = 0) -> Batch:
    images = torch.randint(256, (16, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(16) % 10)


def latents(seed: int = 1) -> Tensor:
    return torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))


def draw(purpose: str) -> torch.Generator:
    return Streams(0).at(0, purpose)


class DoubledAugment(nn.Module):
    """In float64, so that finite differences are exact enough."""

    def __init__(self, inner: nn.Module | None) -> None:
        super().__init__()
        assert inner is not None
        self.inner = inner

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        augmented: Tensor = self.inner(images.double(), random)
        return augmented


def parameters(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def buffers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[bool]:
    return [not torch.equal(before[name], after[name]) for name in before]


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_each_step_moves_its_own_network_and_no_other(model: str) -> None:
    state, step_config = make(model)
    generator, discriminator = parameters(state.generator), parameters(state.discriminator)
    discriminator_step(state, step_config, real_batch(), latents())
    assert_same(parameters(state.generator), generator)
    assert all(moved(discriminator, parameters(state.discriminator)))

    discriminator = parameters(state.discriminator)
    gradients = [parameter.grad.clone() for parameter in state.discriminator.parameters()]
    generator_step(state, step_config, latents(2))
    assert_same(parameters(state.discriminator), discriminator)
    assert all(moved(generator, parameters(state.generator)))
    # D keeps its own gradients (their norm is logged) and goes on to be trained.
    assert_same([parameter.grad for parameter in state.discriminator.parameters()], gradients)
    assert all(parameter.requires_grad for parameter in state.discriminator.parameters())
    discriminator_step(state, step_config, real_batch(), latents(3))
    assert all(moved(discriminator, parameters(state.discriminator)))


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_the_statistics_of_batch_norm_move_only_in_training_mode(model: str) -> None:
    state, step_config = make(model, "inference_fakes=true")
    before = buffers(state.generator)
    discriminator_step(state, step_config, real_batch(), latents())
    assert_same(buffers(state.generator), before)  # G made fakes by its moving averages, and left them as they were
    generator_step(state, step_config, latents())
    assert any(moved(before, buffers(state.generator)))

    state, step_config = make(model, "inference_fakes=false")
    discriminator_step(state, step_config, real_batch(), latents())
    assert any(moved(before, buffers(state.generator)))


def test_the_fakes_for_d_are_made_in_the_mode_that_the_rules_say() -> None:
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
    (slope,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    penalty = 2.5 * slope.square().sum(dim=(1, 2, 3)).mean()
    loss = -real_logits.sigmoid().log().mean() - (1 - fake_logits.sigmoid()).log().mean()
    # The last bias has no part in the penalty.
    gradients = torch.autograd.grad(loss + penalty, list(copied.parameters()))

    before = parameters(state.discriminator)
    report = discriminator_step(state, step_config, batch, latents())
    for (name, value), gradient in zip(parameters(state.discriminator).items(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(report.loss, loss.detach())  # the penalty is told apart
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


def test_the_generator_goes_down_its_loss_through_a_discriminator_that_stands_still() -> None:
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
def test_what_is_returned_holds_no_graph(overrides: tuple[str, ...]) -> None:
    state, step_config = make("mlp", *overrides)
    report = discriminator_step(state, step_config, real_batch(), latents())
    loss, _ = generator_step(state, step_config, latents())
    for tensor in (*report, loss):
        assert tensor is None or (not tensor.requires_grad and tensor.grad_fn is None)
    assert report.real_logits.shape == report.fake_logits.shape == (16,)
    assert report.loss.shape == loss.shape == ()
    assert state.images_seen == 16


MODELS = ("mlp", "dcgan", "resnet", "r3gan", "points")
LOSSES = ("non_saturating", "minimax", "hinge", "lsgan", "wgan", "rpgan")
PENALTIES = ("none", "r1", "r1_r2", "wgan_gp", "dragan")
CHOICES = [
    *([model, f"loss={loss}"] for model, loss in itertools.product(MODELS, LOSSES)),
    *([model, f"penalty={penalty}"] for model, penalty in itertools.product(MODELS, PENALTIES[1:])),
    *([model, f"augment={augment}"] for model, augment in itertools.product(MODELS, ("diffaugment", "ada"))),
    *([model, "spectral_norm=true"] for model in MODELS),
    *([model, "instance_noise=0.1"] for model in MODELS),
    *(["mlp", f"loss={loss}", f"penalty={penalty}"] for loss, penalty in itertools.product(LOSSES, PENALTIES)),
    *(["r3gan", "loss=rpgan", f"penalty={penalty}", "augment=ada"] for penalty in PENALTIES),
]
UNCONDITIONAL = [[model, "pac=2", f"loss={loss}"] for model, loss in itertools.product(MODELS, ("hinge", "rpgan"))]


def combined(model: str, *words: str) -> Config:
    """As `small_config` from these words, without composing two hundred times what differs in a few YAML files."""
    plain = small_config(model).model_dump()
    for word in words:
        key, _, value = word.partition("=")
        option = catalog.conf_dir() / key / f"{value}.yaml"
        plain[key] = yaml.safe_load(option.read_text() if option.exists() else value)
    if plain["augment"]["_target_"] == "gan_exp.augment.ADA":
        plain["augment"]["start_p"] = 0.7
    return check(cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(plain), resolve=True)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        *([*choice, f"conditional={told}"] for choice, told in itertools.product(CHOICES, ("false", "true"))),
        *UNCONDITIONAL,
        *([*choice, "penalty=r1_r2", "augment=ada"] for choice in UNCONDITIONAL),
    ],
    ids="-".join,
)
def test_every_combination_takes_steps(words: list[str]) -> None:
    config = combined(*words)
    state, step_config = build_state(config, SPEC, CPU), build_step_config(config)
    before = {network: parameters(network) for network in (state.generator, state.discriminator)}
    for seed in range(2):
        report = discriminator_step(state, step_config, real_batch(seed), latents(seed), draw)
        generator_loss, _ = generator_step(state, step_config, latents(seed + 10), draw, real_batch(seed + 10))
    assert (report.penalty is None) == (not any(word.startswith("penalty=") and word[8:] != "none" for word in words))
    assert report.loss.isfinite() and generator_loss.isfinite()
    assert report.real_logits.shape == report.fake_logits.shape == (16 // step_config.pac,)
    for network in (state.generator, state.discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.isfinite().all(), name
        assert any(parameter.grad.any() for parameter in network.parameters())
        assert any(moved(before[network], parameters(network)))


def seen_by_discriminator(state: TrainingState) -> list[Tensor]:
    seen: list[Tensor] = []
    state.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    return seen


@pytest.mark.parametrize("augment", ["diffaugment", "ada"])
def test_all_that_d_sees_is_augmented_each_with_its_own_numbers(augment: str) -> None:
    words = ["augment.start_p=1"] if augment == "ada" else []
    state, _ = make("mlp", f"augment={augment}", *words)
    assert state.augment is not None
    seen, batch = seen_by_discriminator(state), real_batch()
    images = normalise(batch.images)
    # A generator that makes the reals: any difference is augmentation's.
    state.generator.forward = lambda latents: images + 0 * state.generator_parameters[0].sum()  # type: ignore
    discriminator_step(state, StepConfig(NonSaturating()), batch, latents(), draw)
    generator_step(state, StepConfig(RelativisticPairing()), latents(), draw, batch)
    for shown, stream in zip(seen, ("real", "fake", "fake", "real"), strict=True):
        assert torch.equal(shown, state.augment(images, draw(f"augment/{stream}")))
        assert not torch.equal(shown, images)
    assert not torch.equal(seen[0], seen[1])


def test_instance_noise_is_on_all_that_d_sees() -> None:
    state, step_config = make("mlp", "instance_noise=0.5")
    seen, batch = seen_by_discriminator(state), Batch(torch.randint(256, (4000, *SHAPE), dtype=torch.uint8), None)
    images = normalise(batch.images)
    state.generator.forward = lambda latents: images + 0 * state.generator_parameters[0].sum()  # type: ignore
    discriminator_step(state, step_config, batch, latents(), draw)
    generator_step(state, step_config, latents(), draw)
    noises = [shown - images for shown in seen]
    for noise in noises:
        assert noise.std().item() == pytest.approx(0.5, rel=0.01) and abs(noise.mean().item()) < 0.01
    correlation = torch.corrcoef(torch.stack([noises[0].flatten(), noises[1].flatten()]))[0, 1]
    assert abs(correlation.item()) < 0.02
    plain, step_config = make("mlp")
    seen = seen_by_discriminator(plain)
    discriminator_step(plain, step_config, real_batch(), latents())  # which draws nothing
    assert torch.equal(seen[0], normalise(real_batch().images))


def test_packed_images_are_neighbours_side_by_side_in_channels() -> None:
    state, step_config = make("mlp", "pac=2")
    seen, batch = seen_by_discriminator(state), real_batch()
    report = discriminator_step(state, step_config, batch, latents())
    images = normalise(batch.images)
    assert torch.equal(seen[0], torch.stack([images[::2, 0], images[1::2, 0]], dim=1))
    assert seen[1].shape == (8, 2, 8, 8) and report.real_logits.shape == (8,)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["r1", "r1_r2", "wgan_gp", "dragan"])
def test_penalties_are_of_the_images_as_they_came(penalty: str) -> None:
    """Through augmentation and packing, by finite differences of all that lies between the images and the logits."""
    state, step_config = make("mlp", f"penalty={penalty}", "pac=2", "augment=diffaugment")
    state.discriminator.double()
    found: list[tuple[PenaltyInputs, Tensor]] = []

    def noted(inputs: PenaltyInputs, draw: RngFor) -> Tensor:
        values = step_config.penalty(inputs, draw)  # type: ignore[misc]
        found.append((inputs, values.detach()))
        return values

    noted.at_reals, noted.at_fakes = step_config.penalty.at_reals, step_config.penalty.at_fakes  # type: ignore
    doubled = DoubledAugment(state.augment)
    state.augment = doubled
    batch = Batch(real_batch().images[:4], None)
    discriminator_step(state, dataclasses.replace(step_config, penalty=noted), batch, latents()[:4], draw)
    ((inputs, values),) = found
    assert values.shape == (2,)
    real_images, fake_images = inputs.real_images.detach().double(), inputs.fake_images.detach().double()
    # D has moved since: finite differences of the D of then, which the inputs's graph alone remembers, won't do.
    copied, _ = make("mlp", f"penalty={penalty}", "pac=2", "augment=diffaugment")
    copied.discriminator.double()
    copied.augment = doubled

    def squared_norm(places: Tensor, kind: str) -> Tensor:
        squares = torch.zeros(2, dtype=torch.float64)
        step = 1e-5
        for image, pixel in itertools.product(range(2), range(64)):
            difference = torch.zeros(2, 2, 64, dtype=torch.float64)
            difference[:, image, pixel] = step
            change = difference.view(4, 1, 8, 8)
            higher, lower = (
                step_module._score(copied, step_config, None, draw, kind, places + sign * change) for sign in (1, -1)
            )
            squares += ((higher - lower) / (2 * step)).detach().square()
        return squares

    if penalty.startswith("r1"):
        expected = 0.05 * squared_norm(real_images, "real")
        if penalty == "r1_r2":
            expected = expected + 0.05 * squared_norm(fake_images, "fake")
    else:
        if penalty == "wgan_gp":
            places = torch.lerp(real_images, fake_images, torch.rand(4, 1, 1, 1, generator=draw("penalty")).double())
        else:
            noise = torch.rand(4, 1, 8, 8, generator=draw("penalty"))
            places = real_images + 0.5 * real_images.std() * noise
        expected = 10 * (squared_norm(places, "penalty").sqrt() - 1).square()
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=1e-6)


class ConstantLogit(nn.Module):
    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))

    def forward(self, images: Tensor) -> Tensor:
        return self.logit.expand(len(images))


@pytest.mark.parametrize(
    ("loss", "logit", "end"),
    [
        ("loss=lsgan", 0.45, 0.0),
        ("loss=lsgan", 0.55, 1.0),
        ("loss=lsgan loss.label_smoothing=0.1", 0.44, 0.0),
        ("loss=lsgan loss.label_smoothing=0.1", 0.46, 1.0),
        ("loss=hinge", -0.1, 0.0),
        ("loss=hinge", 0.1, 1.0),
        ("loss=wgan", -0.1, 0.0),  # as a run was begun with before that was refused
        ("loss=wgan", 0.1, 1.0),
    ],
)
def test_adas_signs_are_counted_from_the_losss_boundary(loss: str, logit: float, end: float) -> None:
    """LSGAN's logits of reals are above 0 even where D can't tell them from fakes: p must not run to 1."""
    ada = ["augment=ada", "augment.every=1", "augment.images_to_one=32", "augment.start_p=0.5"]
    state, step_config = make("mlp", *ada, *loss.split())
    state.discriminator = ConstantLogit(logit)
    for _ in range(2):
        discriminator_step(state, step_config, real_batch(), latents(), draw)
    assert state.augment is not None and state.augment.p.item() == end


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


def test_the_penalty_weighs_as_much_as_it_is_told() -> None:
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
    assert torch.equal(after["penalty 1.0"], after["penalty 4.0"])  # type: ignore[index]  # as it is, not as it weighs


def test_both_networks_are_told_the_labels_of_the_reals() -> None:
    state, step_config = make("mlp", "conditional=true")
    told: list[Tensor] = []
    for network in (state.generator, state.discriminator):
        network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    batch, other = real_batch(), Batch(real_batch(1).images, torch.arange(16) % 7)
    discriminator_step(state, step_config, batch, latents())
    assert len(told) == 3 and all(torch.equal(labels, batch.labels) for labels in told)
    told.clear()
    generator_step(state, step_config, latents(), batch=other)
    assert len(told) == 2 and all(torch.equal(labels, other.labels) for labels in told)


def test_a_game_that_needs_random_numbers_says_so() -> None:
    state, step_config = make("mlp", "instance_noise=0.1")
    with pytest.raises(ValueError, match="draws random numbers for noise/real: pass `rng_for`"):
        discriminator_step(state, step_config, real_batch(), latents())


@pytest.mark.parametrize("overrides", [[], ["conditional=true"], ["penalty=r1_r2"], ["loss=rpgan"], ["n_critic=2"]])
def test_reused_fakes_are_those_of_ds_last_update(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """G runs once less, and its update is the one that the same latents and labels would have made."""
    config = small_config("dcgan", "optimizer=sgd", "lr=0.1", *overrides)
    batches, fresh = [real_batch(seed) for seed in range(config.n_critic)], real_batch(7)
    turns = [UpdateInputs(latents(seed), batch, draw) for seed, batch in enumerate(batches)]
    state, step_config = (
        build_state(config, SPEC, CPU),
        dataclasses.replace(build_step_config(config), reuse_fakes=True),
    )
    other = build_state(config, SPEC, CPU)

    made = []
    original = step_module.generate
    monkeypatch.setattr(step_module, "generate", lambda *given: made.append(original(*given)) or made[-1])
    train_step(state, step_config, turns, UpdateInputs(latents(8), fresh, draw))
    assert len(made) == config.n_critic
    monkeypatch.setattr(step_module, "generate", original)

    for turn in turns:
        statistics = buffers(other.generator)
        discriminator_step(other, step_config, turn.batch, turn.latents, draw)
    for name, value in other.generator.named_buffers():
        value.copy_(statistics[name])  # the last forward of G is not made twice
    generator_step(other, step_config, turns[-1].latents, draw, turns[-1].batch)
    torch.testing.assert_close(parameters(state.generator), parameters(other.generator))
    torch.testing.assert_close(parameters(state.discriminator), parameters(other.discriminator))
    torch.testing.assert_close(buffers(state.generator), buffers(other.generator))
