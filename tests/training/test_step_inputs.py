"""Everything that D sees in a step: augmented, noisy and packed images, and the penalties' gradients through them."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from gan_exp.data.packed import Batch, normalise
from gan_exp.losses import NonSaturating, RelativisticPairing
from gan_exp.penalties import PenaltyInputs, RngFor
from gan_exp.training.scoring import Scorer
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig
from setups import discriminator_step, generator_step
from single_steps import SHAPE, latents, make, real_batch, rng_for


class DoubledAugment(nn.Module):
    """An augmentation in float64, so that finite differences are exact enough."""

    def __init__(self, inner: nn.Module | None) -> None:
        super().__init__()
        assert inner is not None
        self.inner = inner

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        augmented: Tensor = self.inner(images.double(), random)
        return augmented


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
    # A generator that returns the reals: any difference comes from augmentation.
    state.generator.forward = lambda latents: images + 0 * state.generator_parameters[0].sum()  # type: ignore
    discriminator_step(state, StepConfig(NonSaturating()), batch, latents(), rng_for)
    generator_step(state, StepConfig(RelativisticPairing()), latents(), rng_for, batch)
    for shown, stream in zip(seen, ("real", "fake", "fake", "real"), strict=True):
        assert torch.equal(shown, state.augment(images, rng_for(f"augment/{stream}")))
        assert not torch.equal(shown, images)
    assert not torch.equal(seen[0], seen[1])


def test_instance_noise_is_on_all_that_d_sees() -> None:
    state, step_config = make("mlp", "instance_noise=0.5")
    seen, batch = seen_by_discriminator(state), Batch(torch.randint(256, (4000, *SHAPE), dtype=torch.uint8), None)
    images = normalise(batch.images)
    state.generator.forward = lambda latents: images + 0 * state.generator_parameters[0].sum()  # type: ignore
    discriminator_step(state, step_config, batch, latents(), rng_for)
    generator_step(state, step_config, latents(), rng_for)
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
def test_penalties_are_on_the_gradients_of_the_original_images(penalty: str) -> None:
    """Through augmentation and packing, by finite differences of all that lies between the images and the logits."""
    state, step_config = make("mlp", f"penalty={penalty}", "pac=2", "augment=diffaugment")
    state.discriminator.double()
    found: list[tuple[PenaltyInputs, Tensor]] = []

    def noting(inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        values = step_config.penalty(inputs, rng_for)  # type: ignore[misc]
        found.append((inputs, values.detach()))
        return values

    noting.at_reals, noting.at_fakes = step_config.penalty.at_reals, step_config.penalty.at_fakes  # type: ignore
    doubled = DoubledAugment(state.augment)
    state.augment = doubled
    batch = Batch(real_batch().images[:4], None)
    discriminator_step(state, dataclasses.replace(step_config, penalty=noting), batch, latents()[:4], rng_for)
    ((inputs, values),) = found
    assert values.shape == (2,)
    real_images, fake_images = inputs.real_images.detach().double(), inputs.fake_images.detach().double()
    # D has changed since: finite differences of the D of then, which the inputs's graph alone remembers, won't do.
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
                Scorer(copied, step_config, None, rng_for).score(kind, places + sign * change) for sign in (1, -1)
            )
            squares += ((higher - lower) / (2 * step)).detach().square()
        return squares

    if penalty.startswith("r1"):
        expected = 0.05 * squared_norm(real_images, "real")
        if penalty == "r1_r2":
            expected = expected + 0.05 * squared_norm(fake_images, "fake")
    else:
        if penalty == "wgan_gp":
            places = torch.lerp(real_images, fake_images, torch.rand(4, 1, 1, 1, generator=rng_for("penalty")).double())
        else:
            noise = torch.rand(4, 1, 8, 8, generator=rng_for("penalty"))
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
    """LSGAN's logits of reals are above 0 even if D can't distinguish them from fakes: p must not run to 1."""
    ada = ["augment=ada", "augment.every=1", "augment.images_to_one=32", "augment.start_p=0.5"]
    state, step_config = make("mlp", *ada, *loss.split())
    state.discriminator = ConstantLogit(logit)
    for _ in range(2):
        discriminator_step(state, step_config, real_batch(), latents(), rng_for)
    assert state.augment is not None and state.augment.p.item() == end
