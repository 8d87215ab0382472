"""Warps, shifts and cutouts of images, differentiable twice, as gradient penalties need it.

They are built from indexing and arithmetic, because torch's grid_sample has no second derivative.
"""

import torch
from torch import Tensor

from gan_exp.augment.probability import ImageRng


def _matrix(rows: list[list[Tensor | float]]) -> Tensor:
    """[N, 3, 3] from rows of numbers and tensors [N, 1, 1, 1]."""
    like = next(value for row in rows for value in row if isinstance(value, Tensor)).flatten()
    values = [
        value.flatten() if isinstance(value, Tensor) else torch.full_like(like, value) for row in rows for value in row
    ]
    return torch.stack(values, dim=1).view(-1, 3, 3)


def scaling(x: Tensor, y: Tensor | float) -> Tensor:
    return _matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])


def translation(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def rotation(angle: Tensor) -> Tensor:
    cosine, sine = angle.cos(), angle.sin()
    return _matrix([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Bilinear samples of images [N, C, H, W] at `matrices` [N, 3, 3] times each pixel's position; edges reflect."""
    height, width = images.shape[2:]
    ys, xs = torch.meshgrid(
        torch.arange(height, device=images.device) - (height - 1) / 2,
        torch.arange(width, device=images.device) - (width - 1) / 2,
        indexing="ij",
    )
    positions = torch.stack([xs.flatten(), ys.flatten(), torch.ones_like(xs.flatten())])
    sources = matrices[:, :2] @ positions
    x = _reflect(sources[:, 0] + (width - 1) / 2, width - 1)
    y = _reflect(sources[:, 1] + (height - 1) / 2, height - 1)
    left, top = x.floor().clamp(max=max(width - 2, 0)), y.floor().clamp(max=max(height - 2, 0))
    right_weight, lower_weight = (x - left).unsqueeze(1), (y - top).unsqueeze(1)
    column, row = left.long(), top.long()
    next_column, next_row = (column + 1).clamp(max=width - 1), (row + 1).clamp(max=height - 1)

    def pixels(rows: Tensor, columns: Tensor) -> Tensor:
        return gather_pixels(images, rows * width + columns)

    upper = pixels(row, column) * (1 - right_weight) + pixels(row, next_column) * right_weight
    lower = pixels(next_row, column) * (1 - right_weight) + pixels(next_row, next_column) * right_weight
    return (upper * (1 - lower_weight) + lower * lower_weight).view_as(images)


def gather_pixels(images: Tensor, index: Tensor) -> Tensor:
    """[N, C, P] from images [N, C, H, W] at `index` [N, P] into their H * W pixels."""
    return images.flatten(2).gather(2, index.unsqueeze(1).expand(-1, images.shape[1], -1))


def _reflect(position: Tensor, last: int) -> Tensor:
    """Fold a coordinate back into [0, last]."""
    if last == 0:
        return torch.zeros_like(position)
    # Rounding errors of a rotation by 90 degrees are removed, so that pixels are copied exactly.
    position = torch.where((position - position.round()).abs() < 1e-4, position.round(), position)
    return last - ((position % (2 * last)) - last).abs()


def cut_out(images: Tensor, rng: ImageRng, fraction: float) -> Tensor:
    """Set a rectangle of `fraction` times each side to mid-gray."""
    height, width = images.shape[2:]
    tall, wide = int(height * fraction + 0.5), int(width * fraction + 0.5)  # rounds halves up, as the authors' code
    top = (rng.uniform(0, 1) * (height + 1 - tall % 2)).floor() - tall // 2
    left = (rng.uniform(0, 1) * (width + 1 - wide % 2)).floor() - wide // 2
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - top
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - left
    inside = (rows >= 0) & (rows < tall) & (columns >= 0) & (columns < wide)
    return torch.where(inside & rng.mask(), 0.0, images)
