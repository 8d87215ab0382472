"""The directions of the latents that change a generator's images most, for any generator."""

from collections.abc import Callable

import torch
from torch import Tensor

from gan_exp.generators.trained import TrainedGenerator

STEP = 0.1  # of the finite differences, in standard deviations of a latent
Images = Callable[[Tensor, Tensor | None], Tensor]  # of latents [N, latent_dim] and labels [N]: images [N, C, H, W]


def principal_directions(
    generator: TrainedGenerator,
    count: int,
    seed: int = 0,
    label: str | int | None = None,
    latents: int = 32,
    images: Images | None = None,
) -> tuple[Tensor, Tensor]:
    """`leading_directions` of a trained generator, over so many random `latents`, with alternating classes or one.

    A function of its arguments alone. Takes as long as `latents` * (latent_dim + 1) images, which `images` makes in the
    place of the generator's own method if given.
    """
    places = range(latents)
    labels = generator.labels(places, label)
    return leading_directions(images or generator.images, generator.latents(seed, places), labels, count)


def leading_directions(images: Images, latents: Tensor, labels: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """The `count` orthogonal unit directions [K, latent_dim] of largest effect, and their strengths [K], on the CPU.

    They are the leading eigenvectors of J^T J, averaged over `latents` [N, latent_dim], where J is the Jacobian of the
    image by the latent (Wang and Ponce 2021, "The Geometry of Deep Generative Image Models and its Applications").
    A strength is the root of the eigenvalue: how far the image moves, in root mean square over the `latents`, for each
    unit that the latent moves. For a linear generator they are its right singular vectors and singular values. J comes
    from finite differences, so that a generator need not be differentiable: N * (latent_dim + 1) images are made.

    The sign is a choice: the component of largest magnitude is positive.
    """
    dim = latents.shape[1]
    moves = STEP * torch.eye(dim, device=latents.device)
    gram = torch.zeros(dim, dim, dtype=torch.float64)
    for k, latent in enumerate(latents):
        label = None if labels is None else labels[k].expand(dim + 1)
        made = images(torch.cat([latent[None], latent + moves]), label).flatten(1).double().cpu()
        jacobian = (made[1:] - made[0]) / STEP  # transposed: [latent_dim, pixels]
        gram += jacobian @ jacobian.T / len(latents)
    values, vectors = torch.linalg.eigh(gram)  # ascending
    directions = vectors.T.flip(0)[:count]
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return (directions * largest.sign()).float(), values.flip(0)[:count].clamp_min(0).sqrt().float()
