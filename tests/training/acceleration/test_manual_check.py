"""A network gets a manual backward pass only if it computes exactly what its chain does."""

import copy

import pytest
import torch
from torch import Tensor, nn

from builders import assert_same, small_config
from gan_exp.data.packed import DataSpec
from gan_exp.models.mlp import MLPDiscriminator, MLPGenerator
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.acceleration.manual import ManualStep
from gan_exp.training.acceleration.manual_check import manual_networks
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.state import TrainingState

SHAPE = (1, 4, 4)


def make(
    generator: type[MLPGenerator] = MLPGenerator, discriminator: type[MLPDiscriminator] = MLPDiscriminator
) -> tuple[MLPGenerator, MLPDiscriminator]:
    torch.manual_seed(0)
    return generator(5, SHAPE, widths=(6, 7)), discriminator(SHAPE, widths=(6,))


class Same(MLPGenerator):
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(latents, labels).view(len(latents), *self.image_shape)


def test_a_chain_is_taken_and_left_as_it_was() -> None:
    for generator in (MLPGenerator, Same):
        networks = make(generator)
        before = [copy.deepcopy(dict(network.state_dict())) for network in networks]
        random = torch.get_rng_state()
        manual_networks(*networks)
        assert_same([dict(network.state_dict()) for network in networks], before)
        assert torch.equal(torch.get_rng_state(), random)
        assert all(network.training for network in networks)


class Scaled(MLPGenerator):
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return 0.9 * super().forward(latents, labels)


class Gated(MLPDiscriminator):
    """At its start it computes what its chain does (Bachlechner et al. 2021, "ReZero")."""

    def __init__(self, image_shape: tuple[int, int, int], widths: tuple[int, ...] = (6,)) -> None:
        super().__init__(image_shape, widths)
        self.flatten.gate = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(images + self.flatten.gate * images.square(), labels)


class Detached(MLPDiscriminator):
    """The same outputs, other gradients."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        logits = super().forward(images, labels)
        return logits + (logits - logits.detach())


class Quieter(MLPGenerator):
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(latents if self.training else latents / 2, labels)


class Noisy(MLPDiscriminator):
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(nn.functional.dropout(images, 0.1), labels)


class Twice(MLPGenerator):
    """The same images and gradients; BatchNorm's averages move twice."""

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        super().forward(latents, labels)
        return super().forward(latents, labels)


class InFloat32(MLPGenerator):
    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(latents.float(), labels)


@pytest.mark.parametrize("kind", [Scaled, Gated, Detached, Quieter, Noisy, Twice])
def test_a_subclass_that_does_more_is_refused(kind: type[nn.Module]) -> None:
    networks = make(kind) if issubclass(kind, MLPGenerator) else make(discriminator=kind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{kind.__name__} computes something else than its chain$"):
        manual_networks(*networks)


def test_so_is_one_that_can_not_be_compared() -> None:
    with pytest.raises(ValueError, match=r"^InFloat32 can't be compared with its chain: "):
        manual_networks(*make(InFloat32))


def test_so_is_another_forward_of_one_instance() -> None:
    generator, discriminator = make()
    generator.forward = lambda latents: torch.zeros(len(latents), *SHAPE) + latents.sum()  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"^MLPGenerator computes something else"):
        manual_networks(generator, discriminator)


def test_parameters_beside_the_chain_and_frozen_ones_are_refused() -> None:
    generator, discriminator = make()
    discriminator.layers[0].weight.requires_grad_(False)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"^MLPDiscriminator is frozen in part$"):
        manual_networks(generator, discriminator)
    generator.unused = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^MLPGenerator has parameters that its chain leaves out$"):
        manual_networks(generator, discriminator)


def test_such_a_network_is_trained_with_the_plain_step() -> None:
    config = small_config("mlp")
    state, step_config = build_state(config, DataSpec(SHAPE), torch.device("cpu")), build_step_config(config)
    assert isinstance(
        choose_step(config.fast_path, state, step_config, torch.device("cpu"), warn=pytest.fail)[0], ManualStep
    )
    scaled = Scaled(8, SHAPE)
    optimizers = state.generator_optimizer, state.discriminator_optimizer
    other = TrainingState(scaled, state.discriminator, scaled, *optimizers)
    step_fn, line = choose_step(config.fast_path, other, step_config, torch.device("cpu"), warn=pytest.fail)
    assert not isinstance(step_fn, ManualStep)
    assert line == "steps: plain (Scaled computes something else than its chain)"
