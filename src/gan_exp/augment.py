"""Augmentation of what the discriminator sees, reals and fakes alike, differentiable (twice) in the images.

Everything is built from indexing and arithmetic, so that gradient penalties reach through it: torch's own grid_sample
has no second derivative.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gan_exp.ranges import Fraction, PositiveFloat, PositiveInt, Probability


@runtime_checkable
class Adaptive(Protocol):
    """An augmentation that steers its `p` by D's logits on augmented reals; nothing is read back from the device."""

    p: Tensor

    def observe(self, real_logits: Tensor, batch_size: int, update: int) -> None:
        """Learn from the logits [N / pac] of D's `update`-th update (from 0), counted from the loss's `boundary`."""

    def moves_at(self, update: int) -> bool:
        """Whether `p` is changed after that update: a captured step must know."""


class GivenP(nn.Module):
    """Augmentation whose probability `p` is given, and may be scheduled.

    p lies on the device, where a captured step reads it. It follows from the configuration and the step, so no
    checkpoint holds it.
    """

    p: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.given_p = p
        self.register_buffer("p", torch.tensor(float(p)), persistent=False)

    def scale_p(self, factor: float) -> None:
        """p as a multiple of the given one, at most 1."""
        self.p.fill_(min(1.0, self.given_p * factor))


class DiffAugment(GivenP):
    """Colour, translation and cutout (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training").

    Each image has each of the three with probability `p`.
    """

    def __init__(
        self,
        p: Probability = 1.0,
        color: bool = True,
        translation: Fraction = 0.125,
        cutout: Fraction = 0.5,
    ) -> None:
        super().__init__(p)
        self.color, self.translation, self.cutout = color, translation, cutout

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        draw = _Draw(images, random, self.p)
        if self.color:
            images = self._recolor(images, draw)
        if self.translation > 0:
            images = self._translate(images, draw)
        if self.cutout > 0:
            images = _cut_out(images, draw, self.cutout)
        return images

    @staticmethod
    def _recolor(images: Tensor, draw: "_Draw") -> Tensor:
        """Brightness +-0.5, saturation x 0..2, contrast x 0.5..1.5. A fourth channel (alpha) stays as it is."""
        color, rest = images[:, :3], images[:, 3:]
        color = color + draw.where(draw.uniform(-0.5, 0.5), 0.0)
        gray = color.mean(dim=1, keepdim=True)
        color = color + (color - gray) * draw.where(draw.uniform(-1.0, 1.0), 0.0)
        mean = color.mean(dim=(1, 2, 3), keepdim=True)
        color = color + (color - mean) * draw.where(draw.uniform(-0.5, 0.5), 0.0)
        return torch.cat([color, rest], dim=1)

    def _translate(self, images: Tensor, draw: "_Draw") -> Tensor:
        """Whole pixels up to `translation` of each side, each as likely; what comes in is mid-gray, as in the paper."""
        height, width = images.shape[2:]
        down = draw.where(draw.whole(int(height * self.translation + 0.5)), 0.0)
        right = draw.where(draw.whole(int(width * self.translation + 0.5)), 0.0)
        rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - down
        columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - right
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        moved = _gather_pixels(images, index.long().flatten(1)).view_as(images)
        return torch.where(inside, moved, 0.0)


class Pipeline(GivenP):
    """The augmentation pipeline of Karras et al. 2020 ("Training GANs with Limited Data") with bilinear warps.

    Flips, quarter turns, shifts, scaling and rotation, each with probability `p`, which stays as it is or follows
    `schedule.augment` (R3GAN); each change of colour with `color_share` times p. `cutout` is the part of each side that
    a gray rectangle takes, with probability p too; R3GAN has 0.5.
    """

    def __init__(
        self,
        p: Probability = 0.3,
        flip: bool = True,
        rotate: bool = True,
        color: bool = True,
        color_share: Probability = 1.0,
        cutout: Fraction = 0.0,
    ) -> None:
        super().__init__(p)
        self.flip, self.rotate, self.color = flip, rotate, color
        self.color_share, self.cutout = color_share, cutout

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        draw = _Draw(images, random, self.p)
        images = _warp(images, _geometry(images, draw, self.flip, self.rotate))
        if self.color:
            images = _recolor(images, _Draw(images, random, self.p * self.color_share))
        return _cut_out(images, draw, self.cutout) if self.cutout > 0 else images


class ADA(nn.Module):
    """Adaptive discriminator augmentation (Karras et al. 2020): `Pipeline` with a p that is steered.

    Every `every` discriminator updates p moves by `every` * batch / `images_to_one` towards where the mean sign of D's
    logits on reals, counted from the loss's `boundary`, is `target`, and stays within [0, 1].
    """

    p: Tensor
    sign_sum: Tensor

    def __init__(
        self,
        target: Fraction = 0.6,
        every: PositiveInt = 4,
        images_to_one: PositiveFloat = 500_000,
        start_p: Probability = 0.0,
        flip: bool = True,
        rotate: bool = True,
        color: bool = True,
    ) -> None:
        super().__init__()
        self.target, self.every, self.images_to_one = target, every, images_to_one
        self.flip, self.rotate, self.color = flip, rotate, color
        self.register_buffer("p", torch.tensor(float(start_p)))
        self.register_buffer("sign_sum", torch.zeros(()))

    @torch.no_grad()
    def observe(self, real_logits: Tensor, batch_size: int, update: int) -> None:
        self.sign_sum += real_logits.sign().mean()
        if self.moves_at(update):
            direction = (self.sign_sum / self.every - self.target).sign()
            self.p.add_(direction * self.every * batch_size / self.images_to_one).clamp_(0, 1)
            self.sign_sum.zero_()

    def moves_at(self, update: int) -> bool:
        return (update + 1) % self.every == 0

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        draw = _Draw(images, random, self.p)
        images = _warp(images, _geometry(images, draw, self.flip, self.rotate))
        return _recolor(images, draw) if self.color else images


def _geometry(images: Tensor, draw: "_Draw", flip: bool, rotate: bool) -> Tensor:
    """[N, 3, 3]: where in the image each pixel of the result comes from, in pixels from the centre."""
    height, width = images.shape[2:]
    matrix = torch.eye(3, device=images.device).expand(len(images), 3, 3)
    if flip:
        matrix = matrix @ _scaling(draw.where(draw.sign(), 1.0), 1.0)
    if rotate and height == width:
        quarters = draw.where((draw.uniform(0, 4)).floor(), 0.0)
        matrix = matrix @ _rotation(quarters * (math.pi / 2))
    shift = [draw.where(draw.uniform(-1, 1) * 0.125, 0.0) for _ in range(2)]
    matrix = matrix @ _translation((shift[0] * width).round(), (shift[1] * height).round())
    scale = draw.where(torch.exp2(draw.normal() * 0.2), 1.0)
    matrix = matrix @ _scaling(scale, scale)
    # Two rotations, each so likely that at least one of them happens with probability p.
    either = 1 - (1 - draw.p).clamp(min=0).sqrt()
    if rotate:
        matrix = matrix @ _rotation(draw.where(draw.uniform(-math.pi, math.pi), 0.0, either))
    stretch = draw.where(torch.exp2(draw.normal() * 0.2), 1.0)
    matrix = matrix @ _scaling(stretch, 1 / stretch)
    if rotate:
        matrix = matrix @ _rotation(draw.where(draw.uniform(-math.pi, math.pi), 0.0, either))
    shift = [draw.where(draw.normal() * 0.125, 0.0) for _ in range(2)]
    return matrix @ _translation(shift[0] * width, shift[1] * height)


def _recolor(images: Tensor, draw: "_Draw") -> Tensor:
    """Brightness, contrast, luma flip; for RGB hue and saturation too. A fourth channel (alpha) stays as it is."""
    color, rest = images[:, :3], images[:, 3:]
    color = color + draw.where(draw.normal() * 0.2, 0.0)
    color = color * draw.where(torch.exp2(draw.normal() * 0.5), 1.0)
    gray = color.mean(dim=1, keepdim=True)
    color = color - 2 * gray * draw.where((draw.sign() < 0).float(), 0.0)
    if color.shape[1] == 3:
        color = _turn_hue(color, draw.where(draw.uniform(-math.pi, math.pi), 0.0))
        gray = color.mean(dim=1, keepdim=True)
        color = color + (color - gray) * draw.where(torch.exp2(draw.normal()) - 1, 0.0)
    return torch.cat([color, rest], dim=1)


def _cut_out(images: Tensor, draw: "_Draw", part: float) -> Tensor:
    """A rectangle of `part` times each side, set to mid-gray."""
    height, width = images.shape[2:]
    tall, wide = int(height * part + 0.5), int(width * part + 0.5)  # a half upwards, as in the paper's code
    top = (draw.uniform(0, 1) * (height + 1 - tall % 2)).floor() - tall // 2
    left = (draw.uniform(0, 1) * (width + 1 - wide % 2)).floor() - wide // 2
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - top
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - left
    inside = (rows >= 0) & (rows < tall) & (columns >= 0) & (columns < wide)
    return torch.where(inside & draw.chosen(), 0.0, images)


class _Draw:
    """Random numbers [N, 1, 1, 1], one for each image, and the choice of the images that an effect falls on."""

    def __init__(self, images: Tensor, random: torch.Generator, p: Tensor) -> None:
        self.shape = (len(images), 1, 1, 1)
        self.random, self.p, self.device = random, p, images.device

    def uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self.shape, generator=self.random, device=self.device) * (high - low) + low

    def whole(self, most: int) -> Tensor:
        """Whole numbers from -`most` to `most`, all equally likely."""
        return (self.uniform(0, 1) * (2 * most + 1)).floor() - most

    def normal(self) -> Tensor:
        return torch.randn(self.shape, generator=self.random, device=self.device)

    def sign(self) -> Tensor:
        return torch.where(self.uniform(-1, 1) < 0, -1.0, 1.0)

    def chosen(self, p: Tensor | None = None) -> Tensor:
        return self.uniform(0, 1) < (self.p if p is None else p)

    def where(self, effect: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        return torch.where(self.chosen(p), effect, otherwise)


def _matrix(rows: list[list[Tensor | float]]) -> Tensor:
    """[N, 3, 3] from numbers and tensors [N, 1, 1, 1]."""
    like = next(value for row in rows for value in row if isinstance(value, Tensor)).flatten()
    values = [
        value.flatten() if isinstance(value, Tensor) else torch.full_like(like, value) for row in rows for value in row
    ]
    return torch.stack(values, dim=1).view(-1, 3, 3)


def _scaling(x: Tensor, y: Tensor | float) -> Tensor:
    return _matrix([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])


def _translation(x: Tensor, y: Tensor) -> Tensor:
    return _matrix([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _rotation(angle: Tensor) -> Tensor:
    cosine, sine = angle.cos(), angle.sin()
    return _matrix([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _turn_hue(color: Tensor, angle: Tensor) -> Tensor:
    """Rotate RGB [N, 3, H, W] about the gray axis by `angle` [N, 1, 1, 1] (Rodrigues' formula)."""
    gray = color.mean(dim=1, keepdim=True)
    across = (color.roll(1, dims=1) - color.roll(-1, dims=1)) / math.sqrt(3)
    return color * angle.cos() + across * angle.sin() + gray * (1 - angle.cos())


def _warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Bilinear samples of images [N, C, H, W] at `matrices` [N, 3, 3] times each pixel's place; edges reflect."""
    height, width = images.shape[2:]
    ys, xs = torch.meshgrid(
        torch.arange(height, device=images.device) - (height - 1) / 2,
        torch.arange(width, device=images.device) - (width - 1) / 2,
        indexing="ij",
    )
    places = torch.stack([xs.flatten(), ys.flatten(), torch.ones_like(xs.flatten())])
    found = matrices[:, :2] @ places
    x = _reflect(found[:, 0] + (width - 1) / 2, width - 1)
    y = _reflect(found[:, 1] + (height - 1) / 2, height - 1)
    left, top = x.floor().clamp(max=max(width - 2, 0)), y.floor().clamp(max=max(height - 2, 0))
    right_share, low_share = (x - left).unsqueeze(1), (y - top).unsqueeze(1)
    column, row = left.long(), top.long()
    next_column, next_row = (column + 1).clamp(max=width - 1), (row + 1).clamp(max=height - 1)

    def pixels(rows: Tensor, columns: Tensor) -> Tensor:
        return _gather_pixels(images, rows * width + columns)

    upper = pixels(row, column) * (1 - right_share) + pixels(row, next_column) * right_share
    lower = pixels(next_row, column) * (1 - right_share) + pixels(next_row, next_column) * right_share
    return (upper * (1 - low_share) + lower * low_share).view_as(images)


def _gather_pixels(images: Tensor, index: Tensor) -> Tensor:
    """[N, C, P] from images [N, C, H, W] at `index` [N, P] into their H * W pixels."""
    return images.flatten(2).gather(2, index.unsqueeze(1).expand(-1, images.shape[1], -1))


def _reflect(place: Tensor, last: int) -> Tensor:
    """Fold a coordinate back into [0, last]."""
    if last == 0:
        return torch.zeros_like(place)
    # A quarter turn of a whole number must stay one, or p = 0 would not be the identity to the last bit.
    place = torch.where((place - place.round()).abs() < 1e-4, place.round(), place)
    return last - ((place % (2 * last)) - last).abs()
