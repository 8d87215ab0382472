import pytest
import torch
from torch import Tensor, nn

from gan_exp.generators.inversion import invert
from gan_exp.models.mlp import MLPGenerator


def small(num_classes: int = 0) -> nn.Module:
    torch.manual_seed(0)
    return MLPGenerator(6, (1, 8, 8), widths=(32,), num_classes=num_classes).eval().requires_grad_(False)


def test_finds_an_image_of_the_generator_itself() -> None:
    network = small()
    latent = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))
    target = network(latent)[0]
    seen: list[float] = []
    found = invert(network, target, 6, steps=200, progress=lambda step, error: seen.append(error))
    assert found.error < 1e-4 < found.first_error
    torch.testing.assert_close(found.latent, latent[0], rtol=0, atol=0.1)
    torch.testing.assert_close(found.image, network(found.latent[None])[0])
    assert found.error == pytest.approx((found.image - target).square().mean().item(), rel=1e-3)
    assert found.label is None
    assert len(seen) == 201 and seen[0] == found.first_error and seen == sorted(seen, reverse=True)


def test_is_the_same_each_time() -> None:
    target = torch.zeros(1, 8, 8)
    one, other = (invert(small(), target, 6, steps=5, seed=seed) for seed in (0, 0))
    assert torch.equal(one.latent, other.latent)
    assert not torch.equal(one.latent, invert(small(), target, 6, steps=5, seed=1).latent)


def test_finds_the_class() -> None:
    network = small(num_classes=3)
    latent = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))
    target = network(latent, torch.tensor([2]))[0]
    found = invert(network, target, 6, range(3), steps=100)
    assert found.label == 2
    given = invert(network, target, 6, [1], steps=100)
    assert given.label == 1 and given.error > found.error


def test_the_latent_of_an_image_beyond_reach_stays_where_latents_are() -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (1, 8, 8))).requires_grad_(False)
    found = invert(linear, 100 * linear[0].weight[:, 0].view(1, 8, 8), 6, steps=100)
    assert found.latent.norm() == pytest.approx(6**0.5 + 2, rel=1e-4)
    assert found.latent[0] > 4


class Steps(nn.Module):
    """Not differentiable: an image is a pattern of signs."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, latents: Tensor) -> Tensor:
        return latents.detach().sign().view(-1, 1, 2, 2)


def test_without_gradients_the_best_random_latent_is_kept() -> None:
    target = torch.tensor([1.0, -1.0, -1.0, 1.0]).view(1, 2, 2)
    found = invert(Steps().requires_grad_(False), target, 4, steps=5)
    assert found.error == found.first_error == 0
