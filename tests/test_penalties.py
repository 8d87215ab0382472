"""R1 against closed forms and finite differences, in float64."""

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from gan_exp.penalties import R1


def images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def test_a_linear_discriminator_pays_for_its_weights() -> None:
    """D(x) = <w, x> has the gradient w everywhere."""
    real_images, weight = images(5, 3, 4, 2), images(3, 4, 2, seed=1)
    penalty = R1(gamma=0.7)(real_images, (real_images * weight).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty, (0.7 / 2 * weight.square().sum()).expand(5))


def test_each_sample_pays_for_its_own_gradient() -> None:
    """D(x) = ||x||^2 / 2 has the gradient x."""
    real_images = images(4, 1, 3, 3)
    penalty = R1(gamma=2.0)(real_images, real_images.square().sum(dim=(1, 2, 3)) / 2)
    torch.testing.assert_close(penalty, real_images.square().sum(dim=(1, 2, 3)))


def test_the_penalty_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    real_images = images(3, 2, 2, 2)
    penalty = R1(gamma=0.1)(real_images, network(real_images).squeeze(1))
    step = 1e-6
    for index in range(3):
        squares = 0.0
        for place in range(8):
            moved = torch.zeros(8, dtype=torch.float64)
            moved[place] = step
            higher, lower = (
                network(real_images[index : index + 1] + sign * moved.view(1, 2, 2, 2)).item() for sign in (1, -1)
            )
            squares += ((higher - lower) / (2 * step)) ** 2
        torch.testing.assert_close(penalty[index].item(), 0.05 * squares, rtol=1e-7, atol=1e-10)


def test_the_penalty_trains_the_discriminator() -> None:
    """Its derivative with respect to D's weights, which is what an update follows, is the true one."""
    real_images = images(3, 1, 2, 2)

    def mean_penalty(first: Tensor, second: Tensor) -> Tensor:
        return R1(gamma=0.3)(real_images, torch.tanh(real_images.flatten(1) @ first) @ second).mean()

    first, second = images(4, 5, seed=1), images(5, seed=2)
    assert gradcheck(mean_penalty, (first, second))
