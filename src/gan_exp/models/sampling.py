"""Images of a generator, in training mode or not, all at once or some at a time."""

import torch
from torch import Tensor, nn

from gan_exp.runtime.signals import stop_if_asked


def generate(generator: nn.Module, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Images [N, C, H, W]; a generator without conditions need not know of labels."""
    images: Tensor = generator(latents) if labels is None else generator(latents, labels)
    return images


@torch.no_grad()
def generate_all(generator: nn.Module, latents: Tensor, labels: Tensor | None = None, chunk: int = 256) -> Tensor:
    """All of `latents` in inference mode, some at a time, on the CPU: images [N, C, H, W] as floats."""
    generator.eval()
    parts = []
    for k in range(0, len(latents), chunk):
        stop_if_asked()
        some = None if labels is None else labels[k : k + chunk]
        parts.append(generate(generator, latents[k : k + chunk], some).cpu())
    return torch.cat(parts)
