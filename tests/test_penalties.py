"""Every penalty against closed forms, finite differences and torch's own derivatives, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from gan_exp.penalties import DRAGAN, R1, R1R2, WGANGP, PenaltyInputs, R1R2FiniteDifferences

PENALTIES = [R1(gamma=0.3), R1R2(gamma=0.3), WGANGP(weight=0.3), DRAGAN(weight=0.3), R1R2FiniteDifferences(gamma=0.3)]


def images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def draw(purpose: str) -> torch.Generator:
    assert purpose == "penalty"
    return torch.Generator().manual_seed(7)


def refuse(purpose: str) -> torch.Generator:
    raise AssertionError(f"drew random numbers for {purpose}")


def inputs(score: Callable[[Tensor], Tensor], real_images: Tensor, fake_images: Tensor) -> PenaltyInputs:
    return PenaltyInputs(score, real_images, fake_images, score(real_images), score(fake_images))


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)).double()


def squared_gradients(score: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """||grad D||^2 at each of `points` [N, ...] by central differences."""
    step, squares = 1e-6, torch.zeros(len(points), dtype=torch.float64)
    for place in range(points[0].numel()):
        moved = torch.zeros(points[0].numel(), dtype=torch.float64)
        moved[place] = step
        difference = score(points + moved.view(points[0].shape)) - score(points - moved.view(points[0].shape))
        squares += (difference.detach() / (2 * step)).square()
    return squares


def test_a_linear_discriminator_is_penalised_for_its_weights() -> None:
    """D(x) = <w, x> has the gradient w everywhere: of reals, of fakes, between them and near them."""
    weight = images(3, 4, 2, seed=1)
    look = inputs(lambda x: (x * weight).sum(dim=(1, 2, 3)), images(5, 3, 4, 2), images(5, 3, 4, 2, seed=2))
    norm = weight.square().sum().sqrt()
    torch.testing.assert_close(R1(gamma=0.7)(look, refuse), (0.7 / 2 * norm**2).expand(5))
    torch.testing.assert_close(R1R2(gamma=0.7)(look, refuse), (0.7 * norm**2).expand(5))
    torch.testing.assert_close(WGANGP(weight=3.0)(look, draw), (3 * (norm - 1) ** 2).expand(5))
    torch.testing.assert_close(DRAGAN(weight=3.0)(look, draw), (3 * (norm - 1) ** 2).expand(5))


def test_each_sample_is_penalised_for_its_gradient() -> None:
    """D(x) = ||x||^2 / 2 has the gradient x, so that the penalty reveals where it was computed."""
    real_images, fake_images = images(4, 1, 3, 3), images(4, 1, 3, 3, seed=1)
    look = inputs(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real_images, fake_images)

    def squares(points: Tensor) -> Tensor:
        return points.square().sum(dim=(1, 2, 3))

    torch.testing.assert_close(R1(gamma=2.0)(look, refuse), squares(real_images))
    torch.testing.assert_close(R1R2(gamma=2.0)(look, refuse), squares(real_images) + squares(fake_images))
    # One random number per pair of images, not per pixel.
    share = torch.rand(4, 1, 1, 1, generator=draw("penalty"), dtype=torch.float64)
    between = squares(real_images + share * (fake_images - real_images))
    torch.testing.assert_close(WGANGP(weight=2.0)(look, draw), 2 * (between.sqrt() - 1).square())
    noise = torch.rand(4, 1, 3, 3, generator=draw("penalty"))
    near = squares(real_images + 0.5 * real_images.std() * noise)
    torch.testing.assert_close(DRAGAN(weight=2.0)(look, draw), 2 * (near.sqrt() - 1).square())


def test_the_penalties_are_those_of_finite_differences() -> None:
    network, real_images, fake_images = small_network(), images(3, 2, 2, 2), images(3, 2, 2, 2, seed=1)
    look = inputs(network, real_images, fake_images)
    at_reals, at_fakes = squared_gradients(network, real_images), squared_gradients(network, fake_images)
    torch.testing.assert_close(R1(gamma=0.1)(look, refuse), 0.05 * at_reals, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(R1R2(gamma=0.1)(look, refuse), 0.05 * (at_reals + at_fakes), rtol=1e-7, atol=1e-10)
    share = torch.rand(3, 1, 1, 1, generator=draw("penalty"), dtype=torch.float64)
    between = squared_gradients(network, real_images * (1 - share) + fake_images * share)
    torch.testing.assert_close(WGANGP()(look, draw), 10 * (between.sqrt() - 1).square(), rtol=1e-7, atol=1e-10)
    noise = torch.rand(3, 2, 2, 2, generator=draw("penalty"))
    near = squared_gradients(network, real_images + 0.5 * real_images.std() * noise)
    torch.testing.assert_close(DRAGAN()(look, draw), 10 * (near.sqrt() - 1).square(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: type(penalty).__name__)
def test_the_penalty_trains_the_discriminator(penalty: Callable[..., Tensor]) -> None:
    """Its derivative with respect to D's weights is correct."""
    real_images, fake_images = images(3, 1, 2, 2), images(3, 1, 2, 2, seed=3)

    def mean_penalty(first: Tensor, second: Tensor) -> Tensor:
        look = inputs(lambda x: torch.tanh(x.flatten(1) @ first) @ second, real_images, fake_images)
        return penalty(look, draw).mean()

    assert gradcheck(mean_penalty, (images(4, 5, seed=1), images(5, seed=2)))


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: type(penalty).__name__)
def test_a_flat_discriminator_has_finite_gradients(penalty: Callable[..., Tensor]) -> None:
    """The square root of the norm has no derivative at zero, and no gradient may become nan."""
    weight = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    look = inputs(lambda x: x.flatten(1) @ weight, images(3, 1, 2, 2), images(3, 1, 2, 2, seed=1))
    (gradient,) = torch.autograd.grad(penalty(look, draw).mean(), weight)
    assert gradient.isfinite().all()


def test_which_images_must_require_grad() -> None:
    """D's update prepares the images by these attributes."""
    assert [(penalty.at_reals, penalty.at_fakes) for penalty in PENALTIES] == [
        (True, False),
        (True, True),
        (False, False),
        (False, False),
        (False, False),
    ]
    network = small_network()
    for penalty in PENALTIES:
        real_images, fake_images = images(3, 2, 2, 2).detach(), images(3, 2, 2, 2, seed=1).detach()
        real_images.requires_grad_(penalty.at_reals)
        fake_images.requires_grad_(penalty.at_fakes)
        assert penalty(inputs(network, real_images, fake_images), draw).requires_grad
        assert real_images.grad is None and fake_images.grad is None


def test_packed_images_are_penalised_together() -> None:
    """Two images per logit: the penalty uses the gradient of the logit with respect to both."""
    real_images, fake_images = images(6, 1, 2, 2), images(6, 1, 2, 2, seed=1)
    network = small_network()
    look = inputs(lambda x: network(x.reshape(3, 2, 2, 2)), real_images, fake_images)
    packed = inputs(network, real_images.reshape(3, 2, 2, 2), fake_images.reshape(3, 2, 2, 2))
    torch.testing.assert_close(R1()(look, refuse), R1()(packed, refuse))
    torch.testing.assert_close(R1R2()(look, refuse), R1R2()(packed, refuse))
    for penalty in (WGANGP(), DRAGAN(), R1R2FiniteDifferences()):
        assert penalty(look, draw).shape == (3,)


def test_finite_differences_estimate_r1_and_r2() -> None:
    """One draw is the square of a directional derivative; 4,000 have their mean within 5 % of the exact penalty."""
    network, real_images, fake_images = small_network(), images(1, 2, 2, 2), images(1, 2, 2, 2, seed=1)
    exact = R1R2(gamma=0.7)(inputs(network, real_images, fake_images), refuse)
    one = R1R2FiniteDifferences(gamma=0.7, sigma=1e-6)(inputs(network, real_images, fake_images), draw)
    generator, expected = draw("penalty"), 0.0
    for x in (real_images, fake_images):
        (gradient,) = torch.autograd.grad(network(x).sum(), x)
        noise = torch.randn(x.shape, dtype=torch.float64, generator=generator)
        expected = expected + 0.35 * (gradient * noise).sum().square()
    torch.testing.assert_close(one.squeeze(), expected, rtol=1e-5, atol=1e-9)
    many = inputs(network, real_images.expand(4000, 2, 2, 2), fake_images.expand(4000, 2, 2, 2))
    estimate = R1R2FiniteDifferences(gamma=0.7, sigma=0.01)(many, draw).mean()
    torch.testing.assert_close(estimate, exact.squeeze(), rtol=0.05, atol=0)
