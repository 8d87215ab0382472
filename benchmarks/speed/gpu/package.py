"""gan-exp's own training step, put together by the constructors that a run uses, without its configuration."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gan_exp.data.packed import Batches, PackedImages
from gan_exp.losses import Hinge, NonSaturating, RelativisticPairing
from gan_exp.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_exp.models.merging import Shape, grouped_layers, merge_groups
from gan_exp.models.mlp import MLPDiscriminator, MLPGenerator
from gan_exp.models.parts import with_layout
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator
from gan_exp.models.resnet import ResNetDiscriminator, ResNetGenerator
from gan_exp.models.spectral import normalise_spectrally
from gan_exp.optimizers import KerasAdam
from gan_exp.penalties import R1R2, R1R2FiniteDifferences
from gan_exp.runtime.device import prepare_device
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import ahead_on
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.inputs import InputSource
from gan_exp.training.merging_choice import choose_merging
from gan_exp.training.precision import Precision
from gan_exp.training.running_means import RunningMeans
from gan_exp.training.state import TrainingState
from gan_exp.training.step_types import StepConfig

IMAGES = 20_000
STEPS = 100_000  # of a run, as far as the choice of the step is concerned
RAMP_UP = 0.05  # as conf/config.yaml has it
NAMES = {  # of each `fast_path`, and what gan-exp says where it takes it
    "plain": ("plain", "steps: plain"),
    "graph": ("captured", "steps: captured in CUDA graphs"),
    "compiled": ("compiled and captured", "steps: compiled, then captured in CUDA graphs"),
}


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
    ema_halflife_kimg: float = 0.0
    images: int = IMAGES

    def networks(self, device: str) -> tuple[nn.Module, nn.Module]:
        torch.manual_seed(0)
        generator = self.generator(self.latent_dim, self.shape, **self.generator_model)
        discriminator = self.discriminator(self.shape, **self.discriminator_model)
        if self.spectral and device != "meta":
            normalise_spectrally(discriminator)
        return with_layout(generator).to(device), with_layout(discriminator).to(device)

    def state(self, device: str) -> TrainingState:
        generator, discriminator = self.networks(device)
        average = copy.deepcopy(generator).requires_grad_(False) if self.ema_halflife_kimg else generator
        return TrainingState(generator, discriminator, average, *self.optimizers(generator, discriminator))

    def optimizers(self, *networks: nn.Module, fused: bool = True) -> list[torch.optim.Adam]:
        options: dict[str, Any] = {"lr": 2e-4, "betas": self.betas, "fused": fused}
        return [self.adam(network.parameters(), **options) for network in networks]

    def noise(self, device: str) -> Tensor:
        """By a generator of its own: a capture that fails leaves CUDA's usual one unusable."""
        random = torch.Generator(device).manual_seed(0)
        shape = (self.images, *self.shape)
        return torch.randint(256, shape, dtype=torch.uint8, device=device, generator=random)

    def inputs(self, place: torch.device) -> InputSource:
        images = PackedImages(self.noise(str(place)), known_digest="noise")
        batches, streams = Batches(images, self.batch, "with_replacement", 0), Streams(0, place, ahead_on(place))
        needed = self.config.generator_needs_batch
        return InputSource(batches, streams, self.latent_dim, self.n_critic, generator_needs_batch=needed)

    def operations(self, device: str) -> float:
        """Of a step: 2 for each multiplication and addition of a product or convolution.

        A backward pass takes two forward passes, one where the weights don't learn; the gradient of a penalty that
        holds a gradient takes six in all, and so do finite differences.
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

    def narrow(self) -> "Recipe":
        """The same step with networks that a CPU trains in milliseconds."""
        of_generator, of_discriminator = NARROW[self.generator]
        return replace(
            self,
            shape=self.shape if self.generator is MLPGenerator else (3, 16, 16),
            batch=4,
            latent_dim=8,
            n_critic=min(self.n_critic, 2),
            images=16,
            generator_model=of_generator,
            discriminator_model=of_discriminator,
        )


class Step:
    """A step of gan-exp's loop, without logging: draws, `step_fn`, running means and the average.

    Raises RuntimeError where gan-exp would take another step than `fast_path` names, with its reason.
    """

    def __init__(self, recipe: Recipe, device: str, fast_path: str, precision: Precision = "float32") -> None:
        merged, _ = merged_groups(recipe, precision, device)
        place = _prepared(device, precision)
        config = replace(recipe.config, precision=precision)
        self.recipe, self.state = recipe, recipe.state(device)
        merge_groups(self.state.networks.values(), merged)
        self.step_fn, chosen = choose_step(fast_path, self.state, config, place, False, _heard, STEPS)
        if chosen != NAMES[fast_path][1]:
            raise RuntimeError(chosen)
        self.inputs = recipe.inputs(place)
        self.means = RunningMeans(place, "penalty" if config.penalty else None, config.boundary)

    def __call__(self) -> None:
        number = self.state.step
        self.means.add(self.step_fn(self.inputs.discriminator(number), self.inputs.generator(number)))
        self.state.update_ema(self.recipe.ema_halflife_kimg * 1000, self.recipe.batch, RAMP_UP)


def merged_groups(recipe: Recipe, precision: Precision, device: str) -> tuple[dict[str, int], str]:
    """The factors that a run would take, and its line; those of the same shapes are timed once."""
    if device == "cpu":
        return {}, ""
    with torch.device("meta"):
        shapes = tuple(layer.shape for layer in grouped_layers(recipe.networks("meta")))
    return _timed(shapes, recipe.batch, precision, device) if shapes else ({}, "")


@cache
def _timed(shapes: tuple[Shape, ...], rows: int, precision: Precision, device: str) -> tuple[dict[str, int], str]:
    return choose_merging(shapes, rows, precision, _prepared(device, precision))


def _prepared(device: str, precision: Precision) -> torch.device:
    settings = SimpleNamespace(name=device, index=0, threads=None, deterministic=False, precision=precision)
    return prepare_device(settings)


def _heard(line: str) -> None:
    """What gan-exp says of its step while it trains."""
    if not line.startswith("steps: compiled in"):
        raise RuntimeError(line)


NARROW: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    MLPGenerator: ({"widths": [8]}, {"widths": [8]}),
    DCGANGenerator: ({"width": 4}, {"width": 4}),
    ResNetGenerator: ({"width": 4}, {"width": 4, "plain_blocks": 1, "coarsest": 8}),
    R3GANGenerator: ({"width": 8, "max_width": 16, "group_size": 4},) * 2,
}
CIFAR_10 = {"width": 768, "max_width": 768}  # 20.7 million parameters each
FFHQ_64 = {"width": 384, "max_width": 768}
R3GAN: dict[str, Any] = {
    "latent_dim": 64,
    "generator": R3GANGenerator,
    "discriminator": R3GANDiscriminator,
    "config": StepConfig(RelativisticPairing(), R1R2(0.05)),
    "betas": (0.0, 0.99),
    "ema_halflife_kimg": 5000,
    "images": 2000,
}
ARTICLE = Recipe(
    "article, MLP 28x28, batch 32", (1, 28, 28), 32, 100, MLPGenerator, MLPDiscriminator,
    StepConfig(NonSaturating(), split_updates=True, inference_fakes=True), {}, {}, adam=KerasAdam,
)  # fmt: skip
DCGAN_64 = Recipe(
    "DCGAN 64x64, batch 64", (3, 64, 64), 64, 100, DCGANGenerator, DCGANDiscriminator,
    StepConfig(NonSaturating()), {}, {}, ema_halflife_kimg=10,
)  # fmt: skip
SNGAN_CIFAR = Recipe(
    "SNGAN CIFAR-10, batch 64, n_critic 5", (3, 32, 32), 64, 128, ResNetGenerator, ResNetDiscriminator,
    StepConfig(Hinge()), {"width": 256}, {"width": 128, "plain_blocks": 2, "coarsest": 8}, n_critic=5,
    betas=(0.0, 0.9), spectral=True, ema_halflife_kimg=64,
)  # fmt: skip
R3GAN_CIFAR, R3GAN_FFHQ = (
    Recipe(f"R3GAN {data}, batch 64", (3, side, side), 64, generator_model=model, discriminator_model=model, **R3GAN)
    for data, side, model in (("CIFAR-10", 32, CIFAR_10), ("FFHQ-64", 64, FFHQ_64))
)
R3GAN_DIFFERENCES = replace(
    R3GAN_CIFAR,
    name="R3GAN CIFAR-10, batch 64, finite differences",
    config=StepConfig(RelativisticPairing(), R1R2FiniteDifferences(0.05)),
)
RECIPES = (ARTICLE, R3GAN_CIFAR, SNGAN_CIFAR, DCGAN_64, R3GAN_FFHQ, R3GAN_DIFFERENCES)
