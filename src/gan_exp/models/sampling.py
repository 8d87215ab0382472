"""Calling a generator, with or without labels, all at once or in chunks."""

import torch
from torch import Tensor, nn

from gan_exp.runtime.signals import stop_if_asked


def generate(generator: nn.Module, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Images [N, C, H, W]; a generator is called with labels only where there are some."""
    images: Tensor = generator(latents) if labels is None else generator(latents, labels)
    return images


@torch.no_grad()
def generate_all(generator: nn.Module, latents: Tensor, labels: Tensor | None = None, chunk: int = 256) -> Tensor:
    """Float images [N, C, H, W] on the CPU for all `latents`, `chunk` at a time; leaves the generator in eval mode."""
    generator.eval()
    parts = []
    for k in range(0, len(latents), chunk):
        stop_if_asked()
        some = None if labels is None else labels[k : k + chunk]
        parts.append(generate(generator, latents[k : k + chunk], some).cpu())
    return torch.cat(parts)
