"""Paths of latents between key points, open or closed, along the sphere or straight."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

PARALLEL = 1e-4  # sine of the angle below which directions are as good as parallel
Interpolate = Callable[[Tensor, Tensor, Tensor], Tensor]


def lerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """The straight line from `start` to `end` [..., D]; `weight` [...] goes from 0 to 1.

    Halfway between two Gaussian latents it passes latents that are 1 / sqrt(2) as long, which G rarely saw in training.
    """
    return torch.lerp(start, end, weight[..., None])


def slerp(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """Along the great circle, with a norm that goes straight from one to the other (White 2016, "Sampling Generative
    Networks"); shapes as in `lerp`. Parallel and opposite latents, which have no single great circle, are joined
    straight.
    """
    weight = weight[..., None]
    norms = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    one, other = (vector / norm.clamp_min(1e-12) for vector, norm in zip((start, end), norms, strict=True))
    # Exact also for small angles, of which the cosine knows nothing.
    angle = 2 * torch.atan2((one - other).norm(dim=-1, keepdim=True), (one + other).norm(dim=-1, keepdim=True))
    sine = angle.sin()
    turned = (torch.sin((1 - weight) * angle) * one + torch.sin(weight * angle) * other) / sine.clamp_min(1e-12)
    straight = (sine < PARALLEL) | (norms[0] == 0) | (norms[1] == 0)
    return torch.where(straight, torch.lerp(start, end, weight), turned * torch.lerp(*norms, weight))


class Positions(NamedTuple):
    """Where each of F frames is on a path: between which two key points, and how far from the first to the second."""

    start: Tensor  # int64 [F]
    end: Tensor  # int64 [F]
    weight: Tensor  # float32 [F], 0 to 1


def positions(keys: int, frames: int, loop: bool) -> Positions:
    """`frames` evenly spaced positions from the first key point to the last.

    Of a loop, the path goes on to the first one again, and the next frame would be the first.
    """
    if loop:
        places = torch.arange(frames, dtype=torch.float64) * keys / frames
    else:
        places = torch.linspace(0, keys - 1, frames, dtype=torch.float64)
    start = places.floor().long().clamp_max(keys - 1 if loop else max(keys - 2, 0))
    end = (start + 1) % keys if loop else (start + 1).clamp_max(keys - 1)
    return Positions(start, end, (places - start).float())


def follow(points: Tensor, where: Positions, interpolate: Interpolate = slerp) -> Tensor:
    """The latents [F, ..., D] of a path through the key points [K, ..., D]."""
    weight = where.weight.view(-1, *[1] * (points.ndim - 2)).to(points.device)
    start, end = points[where.start.to(points.device)], points[where.end.to(points.device)]
    return interpolate(start, end, weight.expand(start.shape[:-1]))
