import torch
from torch import Tensor

from gan_exp.generators.directions import leading_directions

RNG = torch.Generator().manual_seed(0)


def test_of_a_linear_generator_they_are_its_singular_vectors() -> None:
    matrix = torch.randn(6, 3 * 4 * 4, generator=RNG)
    latents = torch.randn(3, 6, generator=RNG)
    found, strengths = leading_directions(lambda z, _: (z @ matrix + 1).view(-1, 3, 4, 4), latents, None, 6)
    left, values, _ = torch.linalg.svd(matrix)
    torch.testing.assert_close(strengths, values, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close((found @ left).abs(), torch.eye(6), rtol=0, atol=5e-3)
    torch.testing.assert_close(found @ found.T, torch.eye(6))


def test_signs_are_the_same_each_time() -> None:
    matrix = torch.randn(6, 16, generator=RNG)
    found, _ = leading_directions(lambda z, _: (z @ matrix).view(-1, 1, 4, 4), torch.zeros(1, 6), None, 2)
    turned, _ = leading_directions(lambda z, _: -(z @ matrix).view(-1, 1, 4, 4), torch.zeros(1, 6), None, 2)
    assert found.shape == (2, 6)
    torch.testing.assert_close(turned, found)
    assert (found.gather(1, found.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_what_has_no_effect_has_no_strength_and_what_jumps_is_allowed() -> None:
    def images(latents: Tensor, _: Tensor | None) -> Tensor:
        return torch.stack([3 * latents[:, 1], latents[:, 2].sign()], dim=1)[:, :, None, None]

    found, strengths = leading_directions(images, torch.full((2, 4), 0.5), None, 4)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(strengths, torch.tensor([3.0, 0.0, 0.0, 0.0]), rtol=1e-4, atol=1e-4)


def test_each_latent_is_moved_with_its_own_label() -> None:
    def images(latents: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None and len(labels) == len(latents) == 3 and len(labels.unique()) == 1
        return (latents * torch.tensor([[4.0, 0.0], [0.0, 3.0]])[labels])[:, :, None, None]

    found, strengths = leading_directions(images, torch.zeros(2, 2), torch.tensor([0, 1]), 2)
    torch.testing.assert_close(found, torch.eye(2))
    torch.testing.assert_close(strengths, torch.tensor([4.0, 3.0]) / 2**0.5, rtol=1e-4, atol=0)
