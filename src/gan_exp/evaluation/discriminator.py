"""The discriminator's logits on training images, held-out images and samples: has it memorised the training images?"""

import torch
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages, normalise
from gan_exp.evaluation.evaluator import choose
from gan_exp.metrics.inputs import DiscriminatorLogits
from gan_exp.models.sampling import at_once

MOST_LOGITS = 5_000


def discriminator_logits(
    discriminator: nn.Module,
    train: PackedImages,
    held_out: PackedImages | None,
    samples: Tensor,
    pac: int = 1,
    conditional: bool = False,
) -> DiscriminatorLogits:
    """Its logits in inference mode and without augmentation. `samples` are uint8 [N, C, H, W] (points: floats).

    Samples of a conditional generator have no logits here, since their labels aren't given.
    """
    fakes = None if conditional else PackedImages(samples, extent=train.extent)
    return DiscriminatorLogits(
        train=logits(discriminator, train, pac, conditional).cpu(),
        held_out=None if held_out is None else logits(discriminator, held_out, pac, conditional).cpu(),
        fake=None if fakes is None else logits(discriminator, fakes, pac).cpu(),
    )


@torch.no_grad()
def logits(discriminator: nn.Module, data: PackedImages, pac: int = 1, conditional: bool = False) -> Tensor:
    """[N / pac] on the discriminator's device, of at most 5,000 images."""
    device = next(discriminator.parameters()).device
    chosen = choose(len(data.images), MOST_LOGITS).to(data.images.device)
    chosen = chosen[: len(chosen) // pac * pac]
    parts = []
    for places in chosen.split(at_once(data.image_shape) * pac):
        images = normalise(data.images[places].to(device))
        images = images.reshape(len(images) // pac, -1, *images.shape[2:])
        if conditional:
            assert data.labels is not None
            parts.append(discriminator(images, data.labels[places].to(device)).float())
        else:
            parts.append(discriminator(images).float())
    return torch.cat(parts)
