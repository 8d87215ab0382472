"""The augmentation pipeline of Karras et al. 2020, "Training GANs with Limited Data", with a given or an adapted p."""

import math

import torch
from torch import Tensor, nn

from gan_exp.augment.geometry import cut_out, rotation, scaling, translation, warp
from gan_exp.augment.probability import GivenP, ImageRng
from gan_exp.ranges import Fraction, PositiveFloat, PositiveInt, Probability


class Pipeline(GivenP):
    """The augmentation pipeline of Karras et al. 2020 with bilinear warps and a given probability `p`.

    Each geometric transformation (flip, rotation by 90 degrees, shift, scaling, rotation) is applied with probability
    p, which may follow `schedule.augment` (as in R3GAN), and each change of colour with probability `color_share` * p.
    `cutout` is the fraction of each side that a gray rectangle covers, also with probability p; R3GAN uses 0.5.
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

    def forward(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        image_rng = ImageRng(images, rng, self.p)
        images = warp(images, _sampling_matrices(images, image_rng, self.flip, self.rotate))
        if self.color:
            images = _recolor(images, ImageRng(images, rng, self.p * self.color_share))
        return cut_out(images, image_rng, self.cutout) if self.cutout > 0 else images


class ADA(nn.Module):
    """Adaptive discriminator augmentation (Karras et al. 2020): `Pipeline` with a p that follows D's overfitting.

    Every `every` discriminator updates, p rises if the mean sign of D's logits on reals, counted from the loss's
    boundary, is above `target`, and falls if it is below: by `every` * batch size / `images_to_one`, within [0, 1].
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

    def forward(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        image_rng = ImageRng(images, rng, self.p)
        images = warp(images, _sampling_matrices(images, image_rng, self.flip, self.rotate))
        return _recolor(images, image_rng) if self.color else images


def _sampling_matrices(images: Tensor, rng: ImageRng, flip: bool, rotate: bool) -> Tensor:
    """[N, 3, 3]: maps each output pixel to the position that it is sampled from, in pixels from the centre."""
    height, width = images.shape[2:]
    matrix = torch.eye(3, device=images.device).expand(len(images), 3, 3)
    if flip:
        matrix = matrix @ scaling(rng.where(rng.sign(), 1.0), 1.0)
    if rotate and height == width:
        quarters = rng.where((rng.uniform(0, 4)).floor(), 0.0)
        matrix = matrix @ rotation(quarters * (math.pi / 2))
    shift = [rng.where(rng.uniform(-1, 1) * 0.125, 0.0) for _ in range(2)]
    matrix = matrix @ translation((shift[0] * width).round(), (shift[1] * height).round())
    scale = rng.where(torch.exp2(rng.normal() * 0.2), 1.0)
    matrix = matrix @ scaling(scale, scale)
    # Of the two rotations at least one is applied with probability p.
    p_rotate = 1 - (1 - rng.p).clamp(min=0).sqrt()
    if rotate:
        matrix = matrix @ rotation(rng.where(rng.uniform(-math.pi, math.pi), 0.0, p_rotate))
    stretch = rng.where(torch.exp2(rng.normal() * 0.2), 1.0)
    matrix = matrix @ scaling(stretch, 1 / stretch)
    if rotate:
        matrix = matrix @ rotation(rng.where(rng.uniform(-math.pi, math.pi), 0.0, p_rotate))
    shift = [rng.where(rng.normal() * 0.125, 0.0) for _ in range(2)]
    return matrix @ translation(shift[0] * width, shift[1] * height)


def _recolor(images: Tensor, rng: ImageRng) -> Tensor:
    """Brightness, contrast, luma flip; for RGB also hue and saturation. A fourth channel (alpha) stays unchanged."""
    color, rest = images[:, :3], images[:, 3:]
    color = color + rng.where(rng.normal() * 0.2, 0.0)
    color = color * rng.where(torch.exp2(rng.normal() * 0.5), 1.0)
    gray = color.mean(dim=1, keepdim=True)
    color = color - 2 * gray * rng.where((rng.sign() < 0).float(), 0.0)
    if color.shape[1] == 3:
        color = _rotate_hue(color, rng.where(rng.uniform(-math.pi, math.pi), 0.0))
        gray = color.mean(dim=1, keepdim=True)
        color = color + (color - gray) * rng.where(torch.exp2(rng.normal()) - 1, 0.0)
    return torch.cat([color, rest], dim=1)


def _rotate_hue(color: Tensor, angle: Tensor) -> Tensor:
    """Rotate RGB [N, 3, H, W] about the gray axis by `angle` [N, 1, 1, 1] (Rodrigues' formula)."""
    gray = color.mean(dim=1, keepdim=True)
    across = (color.roll(1, dims=1) - color.roll(-1, dims=1)) / math.sqrt(3)
    return color * angle.cos() + across * angle.sin() + gray * (1 - angle.cos())
