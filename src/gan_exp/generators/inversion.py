"""The latent from which a generator reproduces an image best, by gradient descent from several starts."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam

from gan_exp.models.sampling import generate, generate_all
from gan_exp.runtime.no_compiler import leave_compiler_out
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import stop_if_asked

CANDIDATES = 512  # random latents of each class, the best of which are the starts
LR = 0.1
BEYOND = 2.0  # how far the latent's norm may exceed sqrt(latent_dim): that of one in 500 Gaussian latents does
WARM_UP = 0.05  # of all steps


class Inversion(NamedTuple):
    latent: Tensor  # [latent_dim]
    label: int | None
    image: Tensor  # the reconstruction [C, H, W]
    error: float  # the mean squared error of its pixels in [-1, 1]
    first_error: float  # of the best random latent, from which the descent began
    scale: float  # the latent's root mean square: about 1 for what G was trained on


def invert(
    network: nn.Module,
    target: Tensor,
    latent_dim: int,
    labels: Sequence[int] | None = None,
    *,
    steps: int = 300,
    starts: int = 16,
    seed: int = 0,
    progress: Callable[[int, float], None] = lambda step, error: None,
) -> Inversion:
    """Minimise the mean squared error to `target` [C, H, W], floats in [-1, 1], over the latent and over `labels`.

    The starts are the best of random latents, of as many different classes as there are. All descend at once by Adam,
    with a learning rate that rises and falls, within the ball that holds nearly all latents of the training: outside of
    it a generator reproduces more, from latents that it was never given (Bojanowski et al. 2018, "Optimizing the Latent
    Space of Generative Networks", stay in a ball too). `progress` is called with the step and the least error so far.
    On the network's device; deterministic by `seed`. Of a generator that is not differentiable, the best of the random
    latents is returned.
    """
    device = next(network.parameters()).device
    target = target.to(device)
    latents, classes = _choose_starts(network, target, latent_dim, labels, starts, seed)
    best, error = latents.clone(), torch.full((len(latents),), math.inf, device=device)
    latents.requires_grad_(True)
    leave_compiler_out(Adam)
    optimizer = Adam([latents], lr=LR)
    first = math.inf
    with torch.enable_grad():
        for step in range(steps + 1):  # the last one measures only
            stop_if_asked()
            errors = _errors(generate(network, latents, classes), target)
            with torch.no_grad():
                better = errors < error
                best[better], error[better] = latents[better], errors[better]
            least = error.min().item()
            first = least if step == 0 else first
            progress(step, least)
            if step == steps or not errors.requires_grad:
                break
            optimizer.param_groups[0]["lr"] = LR * _ramp((step + 1) / steps)
            (latents.grad,) = torch.autograd.grad(errors.sum(), latents)
            optimizer.step()
            with torch.no_grad():
                latents.copy_(latents.renorm(2, 0, math.sqrt(latent_dim) + BEYOND))
    winner = int(error.argmin())
    label = None if classes is None else int(classes[winner])
    with torch.no_grad():
        image = generate(network, best[winner : winner + 1], None if classes is None else classes[winner : winner + 1])
    scale = best[winner].square().mean().sqrt().item()
    return Inversion(best[winner].cpu(), label, image[0].cpu(), float(error[winner]), first, scale)


def _ramp(part: float) -> float:
    """The learning rate's factor: a short rise, then a cosine to zero."""
    return min(1.0, part / WARM_UP) * (1 + math.cos(math.pi * part)) / 2


def _errors(images: Tensor, target: Tensor) -> Tensor:
    return (images - target).square().flatten(1).mean(dim=1)


def _choose_starts(
    network: nn.Module, target: Tensor, latent_dim: int, labels: Sequence[int] | None, starts: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """The best random latents [S, latent_dim] with their classes [S]: first the best of each class, then the second."""
    latents = Streams(seed).latents(0, "invert", CANDIDATES, latent_dim).to(target.device)
    if labels is None:
        errors = _errors(generate_all(network, latents), target.cpu())
        return latents[errors.topk(min(starts, CANDIDATES), largest=False).indices.to(latents.device)].clone(), None
    found: list[tuple[int, float, int, int]] = []  # rank within the class, error, class, latent
    for label in labels:
        of_class = torch.full((CANDIDATES,), label, device=latents.device)
        errors = _errors(generate_all(network, latents, of_class), target.cpu())
        best = errors.topk(min(starts, CANDIDATES), largest=False)
        for rank, (error, index) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            found.append((rank, error, label, index))
    chosen = sorted(found)[:starts]
    places = torch.tensor([index for *_, index in chosen], device=latents.device)
    return latents[places].clone(), torch.tensor([label for _, _, label, _ in chosen], device=latents.device)
