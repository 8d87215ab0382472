"""Whether the discriminator tells training images from others of the data: then it has learned them by heart."""

import torch
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages, normalise
from gan_exp.evaluation.evaluator import choose
from gan_exp.metrics.overfitting import overfitting

MOST_LOGITS = 5_000
CHUNK = 256  # a multiple of any usual pac


def measure_discriminator(
    discriminator: nn.Module,
    train: PackedImages,
    held_out: PackedImages | None,
    samples: Tensor,
    pac: int = 1,
    conditional: bool = False,
) -> dict[str, float]:
    """Means of its logits, in inference mode and without augmentation, on each kind of image.

    `logit_overfitting` is the probability that a training image's logit is above a held-out one's: 0.5 for a D that
    has not learned the training images themselves. `samples` are uint8 [N, C, H, W] (points: floats); in a
    conditional game they have no logit here, since their labels are not told.
    """
    found = {"logit_train": logits(discriminator, train, pac, conditional)}
    if held_out is not None:
        found["logit_held_out"] = logits(discriminator, held_out, pac, conditional)
    if not conditional:
        found["logit_fake"] = logits(discriminator, PackedImages(samples, extent=train.extent), pac)
    scores = {name: values.mean().item() for name, values in found.items()}
    if held_out is not None:
        scores["logit_overfitting"] = overfitting(found["logit_train"], found["logit_held_out"])
    return scores


@torch.no_grad()
def logits(discriminator: nn.Module, data: PackedImages, pac: int = 1, conditional: bool = False) -> Tensor:
    """[N / pac] on the CPU, of at most 5,000 images."""
    device = next(discriminator.parameters()).device
    chosen = choose(len(data.images), MOST_LOGITS).to(data.images.device)
    chosen = chosen[: len(chosen) // pac * pac]
    parts = []
    for places in chosen.split(CHUNK * pac):
        images = normalise(data.images[places].to(device))
        images = images.reshape(len(images) // pac, -1, *images.shape[2:])
        if conditional:
            assert data.labels is not None
            parts.append(discriminator(images, data.labels[places].to(device)).float().cpu())
        else:
            parts.append(discriminator(images).float().cpu())
    return torch.cat(parts)
