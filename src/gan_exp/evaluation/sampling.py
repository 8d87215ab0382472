"""Samples of a generator as functions of a seed: the same for `sample`, `evaluate` and evaluations in training."""

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec, to_uint8
from gan_exp.models.sampling import generate_all
from gan_exp.runtime.randomness import Streams

BATCH = 256


def draw(generator: nn.Module, latent_dim: int, count: int, seed: int, labels: Tensor | None, spec: DataSpec) -> Tensor:
    """uint8 [count, C, H, W], or points as floats, on the CPU; the first of a seed are the same whatever the count."""
    streams = Streams(seed)
    device = next(generator.parameters()).device
    # Always whole batches of latents: a shorter one would draw other numbers.
    parts = [streams.latents(k, "sample", BATCH, latent_dim) for k in range((count + BATCH - 1) // BATCH)]
    latents = torch.cat(parts)[:count].to(device)
    images = generate_all(generator, latents, None if labels is None else labels.to(device), BATCH)
    return images if spec.extent is not None else to_uint8(images)
