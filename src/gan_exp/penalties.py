"""Gradient penalties on the discriminator, one value per logit [N]; the step adds their mean to D's loss.

Gradients are taken with respect to the images before augmentation and packing. `at_reals` and `at_fakes` say which
images must require grad. A penalty may also have

- `strength`, the name of the argument that it is proportional to;
- `bounds_gradient`: it keeps the norm of D's gradient near a bound;
- `per_sample`: it takes the gradient of each image's logit alone, so that D must not mix the images of a batch;
- `same_network`: it compares logits of two forward passes, between which nothing in D may move;
- `draws`: it takes random numbers from `rng_for`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.ranges import PositiveFloat
from gan_exp.runtime.randomness import draw

RngFor = Callable[[str], torch.Generator]  # a name for the purpose -> this step's generator of random numbers for it


class PenaltyInputs(NamedTuple):
    """A batch and D's logits for it; `score` maps images [N, C, H, W] to logits as D's update does, with its labels.

    The images may be a part of the whole batch, so that their statistics aren't those of the batch. Then `whole_std`
    computes the standard deviation of the whole batch's reals.
    """

    score: Callable[[Tensor], Tensor]
    real_images: Tensor
    fake_images: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    whole_std: Callable[[], Tensor] | None = None

    def real_std(self) -> Tensor:
        """The standard deviation [] of all pixel values of the whole batch's reals."""
        return self.real_images.detach().std() if self.whole_std is None else self.whole_std()


def _gradient(images: Tensor, logits: Tensor) -> Tensor:
    """d logits / d images as [logits, numbers in the images behind each logit]."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.reshape(len(logits), -1)


def _norm(images: Tensor, logits: Tensor) -> Tensor:
    """The small constant keeps the gradient of the square root finite where the norm is 0."""
    return _gradient(images, logits).square().sum(dim=1).add(1e-12).sqrt()


def _squared_norm(images: Tensor, logits: Tensor) -> Tensor:
    return _gradient(images, logits).square().sum(dim=1)


class R1:
    """Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", equation 9.

    (gamma / 2) ||grad D(x)||^2 on reals, the squared norm summed over channels, height and width.
    """

    at_reals, at_fakes = True, False
    strength = "gamma"

    def __init__(self, gamma: PositiveFloat = 0.1) -> None:
        self.gamma = gamma

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        return self.gamma / 2 * _squared_norm(inputs.real_images, inputs.real_logits)


class R1R2:
    """R1 on reals and R2, the same on fakes (Mescheder et al. 2018; both together: Huang et al. 2024, R3GAN).

    (gamma / 2) (||grad D(x)||^2 + ||grad D(x~)||^2)
    """

    at_reals, at_fakes = True, True
    strength = "gamma"

    def __init__(self, gamma: PositiveFloat = 0.1) -> None:
        self.gamma = gamma

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        at_reals = _squared_norm(inputs.real_images, inputs.real_logits)
        at_fakes = _squared_norm(inputs.fake_images, inputs.fake_logits)
        return self.gamma / 2 * (at_reals + at_fakes)


class R1R2FiniteDifferences:
    """R1 + R2 by finite differences instead of second derivatives, as APT's (Lin et al. 2025, arXiv 2501.08316) are.

    (gamma / 2) (((D(x + sigma e) - D(x)) / sigma)^2 + the same for fakes), e standard normal for each pixel value:
    its expectation is R1R2's value as sigma goes to 0. One draw is a very noisy estimate of the squared norm, and it
    takes as many passes as the exact penalty; it needs no derivative of a derivative. A sigma below 0.1 is for networks
    in float32, since the difference of two logits loses bfloat16's few digits.
    """

    at_reals, at_fakes = False, False
    strength = "gamma"
    per_sample = True  # the noise of one image must not move another's logit
    same_network = True  # D must be the same function in each forward pass
    draws = True

    def __init__(self, gamma: PositiveFloat = 0.1, sigma: PositiveFloat = 0.1) -> None:
        self.gamma, self.sigma = gamma, sigma

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        rng = rng_for("penalty")
        squares = [self._squared(inputs, images, rng) for images in (inputs.real_images, inputs.fake_images)]
        return self.gamma / 2 * (squares[0] + squares[1])

    def _squared(self, inputs: PenaltyInputs, images: Tensor, rng: torch.Generator) -> Tensor:
        """Both logits are scored anew, so that D sees both images through the same augmentation."""
        images = images.detach()
        noise = draw(torch.randn, images.shape, rng, device=images.device, dtype=images.dtype)
        difference = inputs.score(images + self.sigma * noise) - inputs.score(images)
        return (difference / self.sigma).square()


class WGANGP:
    """Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3.

    weight (||grad D(x^)|| - 1)^2 at x^, a random point on the line between a real and a fake image.
    """

    at_reals, at_fakes = False, False
    strength = "weight"
    bounds_gradient = True
    per_sample = True  # section 4 of the paper
    draws = True

    def __init__(self, weight: PositiveFloat = 10.0) -> None:
        self.weight = weight

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        real_images, fake_images = inputs.real_images, inputs.fake_images
        shape = (len(real_images), *[1] * (real_images.ndim - 1))
        share = draw(torch.rand, shape, rng_for("penalty"), device=real_images.device, dtype=real_images.dtype)
        between = torch.lerp(real_images, fake_images, share).detach().requires_grad_()
        return self.weight * (_norm(between, inputs.score(between)) - 1).square()


class DRAGAN:
    """Kodali et al. 2017, "On Convergence and Stability of GANs", section 2.3, with the noise of its authors' code.

    weight (||grad D(x + delta)|| - 1)^2 with delta = 0.5 std(x) u, where u is uniform in [0, 1) for each pixel value.
    """

    at_reals, at_fakes = False, False
    strength = "weight"
    bounds_gradient = True
    draws = True

    def __init__(self, weight: PositiveFloat = 10.0) -> None:
        self.weight = weight

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor:
        real_images = inputs.real_images.detach()
        noise = draw(torch.rand, real_images.shape, rng_for("penalty"), device=real_images.device)
        perturbed = (real_images + 0.5 * inputs.real_std() * noise).requires_grad_()
        return self.weight * (_norm(perturbed, inputs.score(perturbed)) - 1).square()
