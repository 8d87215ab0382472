"""Gradient penalties on the discriminator, per sample [N]; the step takes the mean and adds it to D's loss."""

import torch
from torch import Tensor

from gan_exp.ranges import PositiveFloat


class R1:
    """Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", equation 9.

    (gamma / 2) * ||grad_x D(x)||^2 on real images, the squared norm summed over channels, height and width.
    """

    def __init__(self, gamma: PositiveFloat = 0.1) -> None:
        self.gamma = gamma

    def __call__(self, real_images: Tensor, real_logits: Tensor) -> Tensor:
        """`real_images` [N, C, H, W] must require grad, and `real_logits` [N] must have been computed from them."""
        (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
        return self.gamma / 2 * gradient.square().sum(dim=(1, 2, 3))
