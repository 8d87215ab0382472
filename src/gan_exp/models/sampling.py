"""Calling a generator, with or without labels, all at once or in chunks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_exp.ranges import ImageShape
from gan_exp.runtime.signals import stop_if_asked

LARGEST_CHUNK = 256  # images
USUAL_PIXELS = LARGEST_CHUNK * 32 * 32  # of the images of a chunk
FEW = 16  # images, about a batch: so many may have more pixels
MOST_PIXELS = FEW * 256 * 256


def generate(generator: nn.Module, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Images [N, C, H, W]; a generator is called with labels only where there are some."""
    images: Tensor = generator(latents) if labels is None else generator(latents, labels)
    return images


def at_once(image_shape: ImageShape) -> int:
    """How many images a network is given at a time outside of training, so that large ones take no more than a step.

    256 up to 32x32, 64 at 64x64, 16 from 128x128 to 256x256; a power of two, so that chunks of 256 hold whole ones.
    """
    _, height, width = image_shape
    pixels = height * width
    fitting = min(max(USUAL_PIXELS // pixels, FEW), MOST_PIXELS // pixels)
    return min(LARGEST_CHUNK, 1 << max(fitting, 1).bit_length() - 1)


@torch.no_grad()
def generate_all(
    generator: nn.Module,
    latents: Tensor,
    labels: Tensor | None = None,
    make: Callable[[Tensor], Tensor] = lambda images: images,
    device: torch.device | str = "cpu",
    chunk: int = LARGEST_CHUNK,
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
