"""The networks of the mixture benchmarks."""

import pytest
import torch
from torch import nn

from builders import count_parameters
from gan_exp.models.parts import EMBEDDING_DIM
from gan_exp.models.points import STEEP, Maxout, PointDiscriminator, PointGenerator


def test_pacgans_networks() -> None:
    """Four hidden layers of 400 with BatchNorm; three of 200 with maxout of 5."""
    generator, discriminator = PointGenerator(2, (2, 1, 1)), PointDiscriminator((2, 1, 1))
    hidden = 400 * 400 + 400
    assert count_parameters(generator) == 2 * 400 + 400 + 3 * hidden + 4 * 800 + 400 * 2 + 2
    maxouts = (2 * 1000 + 1000) + 2 * (200 * 1000 + 1000)
    assert count_parameters(discriminator) == maxouts + 200 + 1
    kinds = [type(layer).__name__ for layer in generator.layers]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 4 + ["Linear"]


def test_without_batch_norm_a_point_depends_on_its_own_latents_alone() -> None:
    """And the signal keeps its size through the layers, which it would lose with torch's initialisation."""
    torch.manual_seed(0)
    generator = PointGenerator(2, (2, 1, 1), batch_norm=False)
    assert [type(layer).__name__ for layer in generator.layers] == ["Linear", "ReLU"] * 4 + ["Linear"]
    latents = torch.randn(64, 2)
    torch.testing.assert_close(generator(latents)[:3], generator(latents[:3]))
    assert 0.5 < generator.layers[:-1](latents).std() < 2
    assert 0.4 < generator.layers[0].bias.std() < 0.6


def test_points_have_no_bounds() -> None:
    generator = PointGenerator(2, (2, 1, 1), (8,))
    nn.init.constant_(generator.layers[-1].bias, 50.0)
    points = generator(torch.randn(6, 2))
    assert points.shape == (6, 2, 1, 1) and points.min() > 10


def test_maxout_takes_the_largest_piece_of_each_unit() -> None:
    torch.manual_seed(0)
    layer = Maxout(3, 4, pieces=5)
    inputs = torch.randn(6, 3)
    maps = layer.linear(inputs)
    expected = torch.stack([maps[:, unit * 5 : unit * 5 + 5].max(dim=1).values for unit in range(4)], dim=1)
    assert torch.equal(layer(inputs), expected)


def test_packed_points_are_flattened() -> None:
    """Two points side by side in channels."""
    assert PointDiscriminator((4, 1, 1), (8,))(torch.randn(6, 4, 1, 1)).shape == (6,)


def test_scale_is_the_networks_unit_of_length() -> None:
    """With scale 2 the same weights generate points twice as far out, and give them the same logits."""
    torch.manual_seed(0)
    near = PointGenerator(2, (2, 1, 1), (8,)), PointDiscriminator((2, 1, 1), (8,))
    far = PointGenerator(2, (2, 1, 1), (8,), scale=2.0), PointDiscriminator((2, 1, 1), (8,), scale=2.0)
    for one, other in zip(near, far, strict=True):
        other.load_state_dict(one.state_dict())
    latents = torch.randn(6, 2)
    points = near[0](latents)
    assert torch.equal(far[0](latents), 2 * points)
    assert torch.equal(far[1](2 * points), near[1](points)) and not torch.equal(far[1](points), near[1](points))


def test_of_the_last_latents_only_the_sign_counts() -> None:
    torch.manual_seed(0)
    generator = PointGenerator(4, (2, 1, 1), (8,), batch_norm=False, signs=2)
    latents = torch.randn(6, 4)
    larger = latents * torch.tensor([1.0, 1.0, 3.0, 0.5])
    assert torch.equal(generator(larger), generator(latents))
    for changed in ([1.0, 2.0, 1.0, 1.0], [1.0, 1.0, -1.0, 1.0]):
        assert not torch.equal(generator(latents * torch.tensor(changed)), generator(latents))
    with pytest.raises(ValueError, match="signs=4: must be less than latent_dim=4"):
        PointGenerator(4, (2, 1, 1), signs=4)


def test_the_first_layer_with_signs_is_bounded_and_steep() -> None:
    def first_layer(signs: int) -> nn.Linear:
        torch.manual_seed(0)
        generator = PointGenerator(4, (2, 1, 1), (8, 8), batch_norm=False, signs=signs, num_classes=3)
        kinds = [type(layer).__name__ for layer in generator.layers]
        assert kinds == ["Linear", "Tanh" if signs else "ReLU", "Linear", "ReLU", "Linear"]
        linear = generator.layers[0]
        assert isinstance(linear, nn.Linear)
        return linear

    plain, steep = first_layer(0), first_layer(2)
    larger = torch.tensor([1.0, 1.0, STEEP, STEEP] + [1.0] * EMBEDDING_DIM)
    assert torch.equal(steep.weight, plain.weight * larger) and torch.equal(steep.bias, STEEP * plain.bias)
