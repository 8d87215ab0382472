"""Calling a generator, with or without labels, all at once or in chunks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_exp.runtime.signals import stop_if_asked


def generate(generator: nn.Module, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Images [N, C, H, W]; a generator is called with labels only where there are some."""
    images: Tensor = generator(latents) if labels is None else generator(latents, labels)
    return images


@torch.no_grad()
def generate_all(
    generator: nn.Module,
    latents: Tensor,
    labels: Tensor | None = None,
    make: Callable[[Tensor], Tensor] = lambda images: images,
    device: torch.device | str = "cpu",
    chunk: int = 256,
) -> Tensor:
    """What `make` makes of the float images [N, C, H, W] for all `latents`, `chunk` at a time, on `device`.

    Leaves the generator in eval mode.
    """
    generator.eval()
    parts = []
    for k in range(0, len(latents), chunk):
        stop_if_asked()
        some = None if labels is None else labels[k : k + chunk]
        parts.append(make(generate(generator, latents[k : k + chunk], some)).to(device))
    return torch.cat(parts)
