"""All augmentations: no effect at p = 0, an effect at p = 1, differentiable twice."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from augmentations import Augment, ada, images, only, random
from gan_exp.augment import ADA, DiffAugment, Pipeline

SIZES = [(1, 8, 8), (3, 7, 12), (4, 9, 5), (3, 64, 64), (1, 1, 1)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    "augmentation", [DiffAugment(p=0.0), ADA(), Pipeline(p=0.0)], ids=["diffaugment", "ada", "pipeline"]
)
def test_nothing_changes_at_p_0(augmentation: Augment, shape: tuple[int, int, int]) -> None:
    """To the last bit, in the gradient too."""
    original = images(16, *shape).requires_grad_()
    augmented = augmentation(original, random())
    assert torch.equal(augmented, original)
    weights = images(16, *shape)
    (gradient,) = torch.autograd.grad(augmented, original, weights)
    torch.testing.assert_close(gradient, weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 12), (4, 9, 5)])
@pytest.mark.parametrize(
    "augmentation",
    [
        only("color"),
        only("translation"),
        only("cutout"),
        ada(),
        ada(flip=True),
        ada(rotate=True),
        ada(color=True),
        DiffAugment(),
        ADA(start_p=1.0),
    ],
    ids=["color", "translation", "cutout", "shift", "flip", "rotate", "hue", "diffaugment", "ada"],
)
def test_every_effect_changes_images_at_p_1(augmentation: Augment, shape: tuple[int, int, int]) -> None:
    original = images(16, *shape)
    augmented = augmentation(original, random())
    assert augmented.shape == original.shape and augmented.dtype == original.dtype and augmented.isfinite().all()
    changed = (augmented != original).flatten(1).any(dim=1)
    assert changed.sum() >= 12  # a shift may be drawn as 0
    assert torch.equal(augmented, augmentation(original, random()))  # determined by the generator alone
    assert not torch.equal(augmented, augmentation(original, random(1)))
    # Each image has separate random numbers: equal images become different.
    same = augmentation(original[:1].expand(16, -1, -1, -1), random())
    assert len(torch.unique(same, dim=0)) > 4


@pytest.mark.parametrize("name", ["color", "translation", "cutout"])
def test_p_is_the_share_of_images(name: str) -> None:
    original = images(4000, 1, 6, 6)
    changed = (only(name, p=0.3)(original, random()) != original).flatten(1).any(dim=1).float().mean()
    # A cutout of half the sides always hits; a translation of 0 in both directions is drawn in one of 16.
    whole = (only(name)(original, random()) != original).flatten(1).any(dim=1).float().mean()
    # Three effects of colour and two of translation are drawn independently: 1 - 0.7^k
    at_most = {"color": 1 - 0.7**2, "translation": 1 - 0.7**2, "cutout": 0.3}[name]  # no saturation in gray
    assert changed == pytest.approx(at_most, abs=0.16 if name == "translation" else 0.03)
    assert changed < whole


def smooth(augmentation: Augment) -> Callable[[Tensor], Tensor]:
    return lambda value: augmentation(value, random(3))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "augmentation", [DiffAugment(), ADA(start_p=1.0), ADA(start_p=0.5)], ids=["diffaugment", "ada", "ada half"]
)
def test_it_is_differentiable_twice(augmentation: Augment, channels: int) -> None:
    value = images(2, channels, 4, 5, dtype=torch.float64).requires_grad_()
    assert gradcheck(smooth(augmentation), (value,))
    assert gradgradcheck(lambda x: smooth(augmentation)(x).square(), (value,), fast_mode=True)


@pytest.mark.parametrize("augmentation", [DiffAugment(), ADA(start_p=1.0)], ids=["diffaugment", "ada"])
def test_a_gradient_penalty_reaches_through_it(augmentation: Augment) -> None:
    """d D(T(x)) / dx against finite differences; the penalty's derivative by D's weights is there."""
    value = images(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    weight = images(3, 4, 4, dtype=torch.float64).requires_grad_()

    def discriminator(x: Tensor) -> Tensor:
        return torch.tanh(augmentation(x, random(3)) * weight).sum(dim=(1, 2, 3))

    (gradient,) = torch.autograd.grad(discriminator(value).sum(), value, create_graph=True)
    step, by_hand = 1e-6, torch.zeros_like(value)
    for place in range(48):
        moved = torch.zeros(48, dtype=torch.float64)
        moved[place] = step
        difference = discriminator(value + moved.view(3, 4, 4)) - discriminator(value - moved.view(3, 4, 4))
        by_hand.view(2, -1)[:, place] = difference.detach() / (2 * step)
    torch.testing.assert_close(gradient, by_hand, rtol=1e-6, atol=1e-8)
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.isfinite().all() and second.any()


@pytest.mark.parametrize("kind", [Pipeline, DiffAugment])
def test_a_given_p_can_be_scheduled_and_is_in_no_checkpoint(kind: type[Pipeline | DiffAugment]) -> None:
    augmentation, original = kind(p=0.6), images(16, 3, 8, 8)
    for factor, p in ((0.0, 0.0), (0.5, 0.3), (1.0, 0.6), (2.0, 1.0)):
        augmentation.scale_p(factor)
        assert augmentation.p.item() == pytest.approx(p)
        assert torch.equal(augmentation(original, random()), kind(p=p)(original, random()))
    assert augmentation.state_dict() == {}
