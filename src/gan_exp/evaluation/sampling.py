"""Samples of a generator as functions of a seed: the same for `sample`, `evaluate` and evaluations in training."""

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec, to_uint8
from gan_exp.evaluation.division import Division
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.runtime.randomness import Streams

BATCH = 256  # latents that are drawn at once: the numbers of a shorter batch would be others


def draw(
    generator: nn.Module,
    latent_dim: int,
    count: int,
    seed: int,
    labels: Tensor | None,
    spec: DataSpec,
    division: Division | None = None,
) -> Tensor:
    """uint8 [count, C, H, W], or points as floats, on the CPU; the first of a seed are the same whatever the count."""
    latents = sample_latents(seed, range(count), latent_dim)
    return (division or Division()).draw(Sampler(generator, spec), latents, labels)


class Sampler:
    """Samples of latents and labels: uint8, or points as floats, on the CPU."""

    def __init__(self, generator: nn.Module, spec: DataSpec) -> None:
        self._generator, self._spec = generator, spec

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        device = next(self._generator.parameters()).device
        labels = None if labels is None else labels.to(device)
        make = to_uint8 if self._spec.extent is None else Tensor.detach
        chunk = at_once(self._spec.image_shape)
        return generate_all(self._generator, latents.to(device), labels, make, chunk=chunk)


def sample_latents(seed: int, indices: Iterable[int], latent_dim: int) -> Tensor:
    """Standard normal latents [N, latent_dim] on the CPU; each is a function of (seed, index) alone."""
    numbers = torch.tensor(list(indices), dtype=torch.long)
    order = numbers.argsort()
    latents = torch.empty(len(numbers), latent_dim)
    batches, counts = (numbers[order] // BATCH).unique_consecutive(return_counts=True)
    for batch, here in zip(batches.tolist(), order.split(counts.tolist()), strict=True):
        latents[here] = _batch(seed, batch, latent_dim)[numbers[here] % BATCH]
    return latents


@lru_cache(maxsize=2)
def _batch(seed: int, number: int, latent_dim: int) -> Tensor:
    return Streams(seed).latents(number, "sample", BATCH, latent_dim)
