"""Stacked MNIST: three random digits as the channels of one image, 1,000 modes (Metz et al. 2017, "Unrolled GANs")."""

import torch

from gan_exp.data.packed import PackedImages, Part, one_sided
from gan_exp.data.torchvision_sets import mnist
from gan_exp.ranges import NonNegativeInt, PositiveInt
from gan_exp.runtime.randomness import Streams


@one_sided
def stacked_mnist(
    root: str, count: PositiveInt = 128_000, seed: NonNegativeInt = 0, part: Part = "train"
) -> PackedImages:
    """`count` images [3, 28, 28] drawn with replacement; the label is the number that the three digits form.

    The held-out part is made of MNIST's test digits.
    """
    digits = mnist(root, part)
    assert digits.labels is not None
    chosen = torch.randint(len(digits.images), (count, 3), generator=Streams(seed).at(0, "stack"))
    images = digits.images[:, 0][chosen]
    labels = (digits.labels[chosen] * torch.tensor([100, 10, 1])).sum(dim=1)
    return PackedImages(images, labels, tuple(f"{number:03d}" for number in range(1000)), channel_data=digits)
