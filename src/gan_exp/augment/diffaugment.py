"""DiffAugment (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training")."""

import torch
from torch import Tensor

from gan_exp.augment.geometry import cut_out, gather_pixels
from gan_exp.augment.probability import GivenP, ImageRng
from gan_exp.ranges import Fraction, Probability


class DiffAugment(GivenP):
    """Colour, translation and cutout, each applied to an image with probability `p`.

    `translation` and `cutout` are fractions of the image's sides; 0 turns them off.
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

    def forward(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """images [N, C, H, W] in [-1, 1]."""
        image_rng = ImageRng(images, rng, self.p)
        if self.color:
            images = self._recolor(images, image_rng)
        if self.translation > 0:
            images = self._shift(images, image_rng)
        if self.cutout > 0:
            images = cut_out(images, image_rng, self.cutout)
        return images

    @staticmethod
    def _recolor(images: Tensor, rng: ImageRng) -> Tensor:
        """Brightness +-0.5, saturation x 0..2, contrast x 0.5..1.5. A fourth channel (alpha) stays unchanged."""
        color, rest = images[:, :3], images[:, 3:]
        color = color + rng.where(rng.uniform(-0.5, 0.5), 0.0)
        gray = color.mean(dim=1, keepdim=True)
        color = color + (color - gray) * rng.where(rng.uniform(-1.0, 1.0), 0.0)
        mean = color.mean(dim=(1, 2, 3), keepdim=True)
        color = color + (color - mean) * rng.where(rng.uniform(-0.5, 0.5), 0.0)
        return torch.cat([color, rest], dim=1)

    def _shift(self, images: Tensor, rng: ImageRng) -> Tensor:
        """Whole pixels, uniform up to `translation` of each side; the border becomes mid-gray, as in the paper."""
        height, width = images.shape[2:]
        down = rng.where(rng.integer(int(height * self.translation + 0.5)), 0.0)
        right = rng.where(rng.integer(int(width * self.translation + 0.5)), 0.0)
        rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - down
        columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - right
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        shifted = gather_pixels(images, index.long().flatten(1)).view_as(images)
        return torch.where(inside, shifted, 0.0)
