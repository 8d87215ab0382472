"""Features of a network with random weights that learns nothing (Naeem et al. 2020, "Reliable Fidelity and Diversity
Metrics for Generative Models", who use a random VGG16 so).

It is the same for all data of a shape, needs no time to train, and sees finer detail than the networks that learn.
"""

import hashlib
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_exp.data.packed import DataSpec
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.networks import Shrink, prepare_small
from gan_exp.metrics.embedding import Embedding
from gan_exp.runtime.randomness import Streams

LARGEST_SIDE = 64
FEATURES = 128
CHANNELS = (32, 64, 128, 128)
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def random_features(spec: DataSpec, device: torch.device) -> FeatureExtractor:
    """128 features, and the averages of the second layer's 64 channels."""
    network = Untrained(spec.image_shape).eval().requires_grad_(False)
    digest = hashlib.blake2b(repr(spec.image_shape).encode(), digest_size=8)
    for value in network.state_dict().values():
        digest.update(value.contiguous().numpy().data)
    about = {"what": "four convolutions and a dense layer with random weights"}
    return FeatureExtractor("random", digest.hexdigest(), network.to(device), device, about=about)


class Untrained(nn.Module):
    """Takes uint8 images. Gaussian weights without bias that keep the variance (He et al. 2015)."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shrink = Shrink(image_shape, LARGEST_SIDE)
        inputs, height, width = self.shrink.shape
        self.convolutions = nn.ModuleList()
        rng = Streams(0).at(0, "random features")
        for outputs in CHANNELS:
            layer = nn.Conv2d(inputs, outputs, 4, stride=2, padding=2, bias=False)
            self.convolutions.append(_drawn(layer, inputs * 16, rng))
            inputs, height, width = outputs, height // 2 + 1, width // 2 + 1
        self.dense = _drawn(nn.Linear(inputs * height * width, FEATURES, bias=False), inputs * height * width, rng)

    def forward(self, images: Tensor) -> Embedding:
        found = prepare_small(images, self.shrink).contiguous(memory_format=torch.channels_last)
        early = found
        for number, layer in enumerate(self.convolutions, start=1):
            found = relu(layer(found))
            early = found if number == 2 else early
        return Embedding(self.dense(found.flatten(1)), None, early.mean(dim=(2, 3)))


def _drawn(layer: Layer, inputs: int, rng: torch.Generator) -> Layer:
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) * math.sqrt(2 / inputs))
    return layer
