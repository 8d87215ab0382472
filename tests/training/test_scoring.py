"""On a GPU D scores reals and fakes in one pass, where nothing in it mixes the images of a batch."""

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gan_exp.training.scoring as scoring
from gan_exp.models.mlp import MLPDiscriminator
from gan_exp.ranges import ImageShape
from gan_exp.training.state import TrainingState
from gan_exp.training.step import update_discriminator
from gan_exp.training.step_types import StepConfig, UpdateInputs
from single_steps import SHAPE, latents, make, real_batch, rng_for

TOGETHER = [
    ("mlp", "loss=hinge"),
    ("mlp", "pac=2", "instance_noise=0.1"),
    ("points", "loss=wgan"),
    ("dcgan", "model.discriminator.batch_norm=false", "augment=diffaugment"),
    ("dcgan", "penalty=wgan_gp", "loss=wgan"),
    ("resnet", "spectral_norm=true", "conditional=true"),
    ("r3gan", "loss=rpgan", "conditional=true"),
]
APART = [
    ("dcgan",),  # BatchNorm
    ("fastgan",),  # a loss of its own on reals
    ("resnet", "penalty=r1"),  # a gradient at the reals alone
    ("mlp", "penalty=r1_r2"),
]


def update(state: TrainingState, config: StepConfig) -> tuple[list[Tensor | None], int]:
    """The numbers of one update of D, and how often D was called."""
    calls: list[object] = []
    hook = state.discriminator.register_forward_hook(lambda *given: calls.append(given))
    report = update_discriminator(state, config, UpdateInputs(latents(), real_batch(), rng_for))
    hook.remove()
    gradients = [parameter.grad for parameter in state.discriminator_parameters]
    return [report.loss, report.real_logits, report.fake_logits, report.penalty, *gradients], len(calls)


def both(words: tuple[str, ...], pretend: Callable[[bool], None]) -> list[tuple[list[Tensor | None], int]]:
    """As on a GPU, and as on a CPU."""
    state, config = make(*words)
    found = []
    for there in (True, False):
        pretend(there)
        found.append(update(copy.deepcopy(state), config))
    return found


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    return lambda there: monkeypatch.setattr(scoring, "on_gpu", lambda images: there)


@pytest.mark.parametrize("words", TOGETHER, ids="-".join)
def test_one_pass_has_the_numbers_of_two(words: tuple[str, ...], pretend: Callable[[bool], None]) -> None:
    (found, calls), (expected, usual_calls) = both(words, pretend)
    assert calls == usual_calls - 1
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:
            assert one is other
        else:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", APART, ids="-".join)
def test_two_passes_where_they_are_needed(words: tuple[str, ...], pretend: Callable[[bool], None]) -> None:
    (found, calls), (expected, usual_calls) = both(words, pretend)
    assert calls == usual_calls
    for one, other in zip(found, expected, strict=True):
        assert one is other if one is None or other is None else torch.equal(one, other)


class OwnDiscriminator(nn.Module):
    """Of a user's, which compares the images of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        return (pixels - pixels.mean(0)) @ self.weight


def test_a_network_that_does_not_say_so_gets_batches_of_one_kind(pretend: Callable[[bool], None]) -> None:
    state, config = make("mlp")
    state = dataclasses.replace(state, discriminator=OwnDiscriminator())
    pretend(True)
    (_, real_logits, *_), calls = update(state, config)
    assert calls == 2 and isinstance(real_logits, Tensor)
    torch.testing.assert_close(real_logits.mean(), torch.zeros(()), atol=1e-5, rtol=0)


class Normalising(MLPDiscriminator):
    """Of a user's, made of one that scores each image alone, which this one does not."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__(image_shape, widths=[8])
        self.layers.insert(1, nn.BatchNorm1d(8))


class Reconstructing(MLPDiscriminator):
    """Of a user's, with a loss of its own on reals."""

    auxiliary_name = "mean"

    def score_with_auxiliary(
        self, images: Tensor, labels: Tensor | None, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return self(images), images.flatten(1).mean(1)


@pytest.mark.parametrize("kind", [Normalising, Reconstructing])
def test_a_subclass_may_take_back_that_each_image_is_scored_alone(
    kind: Callable[[ImageShape], nn.Module], pretend: Callable[[bool], None]
) -> None:
    state, config = make("mlp")
    state = dataclasses.replace(state, discriminator=kind(SHAPE))
    found = []
    for there in (True, False):
        pretend(there)
        updated = copy.deepcopy(state)
        found.append(update_discriminator(updated, config, UpdateInputs(latents(), real_batch(), rng_for)))
    one, other = found
    assert torch.equal(one.real_logits, other.real_logits) and torch.equal(one.fake_logits, other.fake_logits)
    assert (one.auxiliary is None) == (kind is Normalising) and one.auxiliary == other.auxiliary
