"""The recipes, and the collectives of one of their steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.scaling.model import Message
from benchmarks.speed.gpu import package
from benchmarks.speed.scaling import ARTICLE, DCGAN

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Recipe:
    """`words` train it here. `networks` are those that were measured on an H100, where a step took `h100_ms`."""

    name: str
    batch: int
    words: Sequence[str] = ()
    networks: package.Recipe | None = None
    h100_ms: float | None = None

    @property
    def here(self) -> bool:
        return bool(self.words)


# Of benchmarks/speed/gpu/h100.json, kernel by kernel, as several processes step.
RECIPES = (
    Recipe("article (MLP)", 32, (*ARTICLE, "dataset.count=2000"), package.ARTICLE, 1000 / 198),
    Recipe("DCGAN of width 16", 64, (*DCGAN, "dataset.count=2000")),
    Recipe("SNGAN CIFAR-10, TF32", 64, (), package.SNGAN_CIFAR, 1000 / 9.7),
    Recipe("R3GAN CIFAR-10, bfloat16", 64, (), package.R3GAN_CIFAR, 622.0),
    Recipe("R3GAN CIFAR-10, its fastest layers", 64, (), package.R3GAN_CIFAR, 91.2),
)


def messages(recipe: Recipe) -> list[Message]:
    """Gradients after each update, BatchNorm's statistics in each forward and backward pass of G."""
    made = recipe.networks
    assert made is not None
    with torch.device("meta"):
        generator, discriminator = made.networks("meta")
    config = made.config
    of_d = made.n_critic * (2 if config.split_updates else 1) * [Message(_bytes(discriminator))]
    fakes = 0 if config.inference_fakes else made.n_critic
    layers = [layer.num_features for layer in generator.modules() if isinstance(layer, _BatchNorm)]
    forward = [Message(2 * FLOAT * features, halves=1) for features in layers for _ in range(fakes + 1)]
    backward = [Message(2 * FLOAT * features) for features in layers]
    return [*of_d, Message(_bytes(generator)), *forward, *backward]


def _bytes(network: nn.Module) -> int:
    return FLOAT * sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
