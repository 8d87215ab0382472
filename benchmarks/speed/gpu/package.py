"""gan-exp's own training steps, put together without its configuration: draws, step, running means and average."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.flop_counter import FlopCounterMode

from gan_exp.data.packed import Batches, PackedImages
from gan_exp.losses import Hinge, NonSaturating, RelativisticPairing
from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_exp.models.mlp import MLPDiscriminator, MLPGenerator
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator
from gan_exp.models.resnet import ResNetDiscriminator, ResNetGenerator
from gan_exp.optimizers import KerasAdam
from gan_exp.penalties import R1R2
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import ahead_on
from gan_exp.training.acceleration.captured import CapturedStep
from gan_exp.training.inputs import InputSource
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.state import TrainingState
from gan_exp.training.step import train_step
from gan_exp.training.step_types import StepConfig, StepFn

IMAGES = 20_000


@dataclass(frozen=True)
class Recipe:
    """Networks, and how they are trained; the images are noise, whose content costs nothing."""

    name: str
    shape: tuple[int, int, int]
    batch: int
    latent_dim: int
    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    config: StepConfig
    generator_model: dict[str, Any]
    discriminator_model: dict[str, Any]
    n_critic: int = 1
    betas: tuple[float, float] = (0.5, 0.999)
    adam: type[torch.optim.Adam] = torch.optim.Adam
    spectral: bool = False
    images: int = IMAGES

    def networks(self, device: str) -> tuple[nn.Module, nn.Module]:
        torch.manual_seed(0)
        generator = self.generator(self.latent_dim, self.shape, **self.generator_model)
        discriminator = self.discriminator(self.shape, **self.discriminator_model)
        for layer in list(discriminator.modules()) if self.spectral else []:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spectral_norm(layer)
        return generator.to(device), discriminator.to(device)

    def noise(self, device: str) -> Tensor:
        return torch.randint(256, (self.images, *self.shape), dtype=torch.uint8, device=device)

    def operations(self, device: str) -> float:
        """Of a step: 2 for each multiplication and addition of a product or convolution.

        A backward pass takes two forward passes, one where the weights don't learn; the gradient of a penalty that
        holds a gradient takes six in all.
        """
        generator, discriminator = self.networks(device)
        images = torch.zeros(2, *self.shape, device=device)
        latents = torch.zeros(2, self.latent_dim, device=device)
        with torch.no_grad(), FlopCounterMode(display=False) as made:
            generator(latents)
        with torch.no_grad(), FlopCounterMode(display=False) as scored:
            discriminator(images)
        update = made.get_total_flops() + (12 if self.config.penalty else 6) * scored.get_total_flops()
        last = 3 * made.get_total_flops() + (3 if self.config.loss.needs_reals else 2) * scored.get_total_flops()
        return (self.n_critic * update + last) / 2 * self.batch


def step_of(recipe: Recipe, device: str, captured: bool) -> Callable[[], None]:
    """One step of gan-exp's loop, without logging. Raises RuntimeError if it can't be captured."""
    generator, discriminator = recipe.networks(device)
    options: dict[str, Any] = {"betas": recipe.betas, "fused": True}
    optimizers = [recipe.adam(network.parameters(), lr=2e-4, **options) for network in (generator, discriminator)]
    state = TrainingState(generator, discriminator, generator, *optimizers)
    place = torch.device(device)
    images = PackedImages(recipe.noise(device), known_digest="noise")
    inputs = InputSource(
        Batches(images, recipe.batch, "with_replacement", 0),
        Streams(0, place, ahead_on(place)),
        recipe.latent_dim,
        recipe.n_critic,
        generator_needs_batch=recipe.config.generator_needs_batch,
    )
    means = RunningMeans(place, "penalty" if recipe.config.penalty else None, recipe.config.boundary)
    step_fn: StepFn = partial(train_step, state, recipe.config)
    if captured:
        step_fn = CapturedStep(state, recipe.config, place, warn=_refuse)

    def step() -> None:
        number = state.step
        means.add(step_fn(inputs.discriminator(number), inputs.generator(number)))

    return step


def _refuse(reason: str) -> None:
    raise RuntimeError(f"not captured: {reason}")


CIFAR_10 = {"width": 768, "max_width": 768}  # 20.7 million parameters each
FFHQ_64 = {"width": 384, "max_width": 768}
R3GAN: dict[str, Any] = {
    "latent_dim": 64,
    "generator": R3GANGenerator,
    "discriminator": R3GANDiscriminator,
    "config": StepConfig(RelativisticPairing(), R1R2(0.05)),
    "betas": (0.0, 0.99),
    "images": 2000,
}
ARTICLE = Recipe(
    "article, MLP 28x28, batch 32", (1, 28, 28), 32, 100, MLPGenerator, MLPDiscriminator,
    StepConfig(NonSaturating(), split_updates=True, inference_fakes=True), {}, {}, adam=KerasAdam,
)  # fmt: skip
DCGAN_64 = Recipe(
    "DCGAN 64x64, batch 64", (3, 64, 64), 64, 100, DCGANGenerator, DCGANDiscriminator,
    StepConfig(NonSaturating()), {}, {},
)  # fmt: skip
SNGAN_CIFAR = Recipe(
    "SNGAN CIFAR-10, batch 64, n_critic 5", (3, 32, 32), 64, 128, ResNetGenerator, ResNetDiscriminator,
    StepConfig(Hinge()), {"width": 256}, {"width": 128, "plain_blocks": 2, "coarsest": 8}, n_critic=5,
    betas=(0.0, 0.9), spectral=True,
)  # fmt: skip
R3GAN_CIFAR, R3GAN_FFHQ = (
    Recipe(f"R3GAN {data}, batch 64", (3, side, side), 64, generator_model=model, discriminator_model=model, **R3GAN)
    for data, side, model in (("CIFAR-10", 32, CIFAR_10), ("FFHQ-64", 64, FFHQ_64))
)
