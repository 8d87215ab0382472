import math

import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_exp.metrics.neighbours import compare_manifolds, compare_with_held_out, find_nearest


def normal(count: int, mean: float = 0.0, sd: float = 1.0, seed: int = 0) -> torch.Tensor:
    return mean + sd * torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_identical_and_permuted_sets() -> None:
    features = normal(300)
    found = compare_manifolds(features, features.flip(0))
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found == compare_manifolds(features, features)


def test_sets_that_are_far_apart() -> None:
    assert compare_manifolds(normal(100), normal(100, mean=50)) == (0, 0, 0, 0)


def test_written_out() -> None:
    """On a line, with k = 1: reals at 0, 1, 10 (radii 1, 1, 9), fakes at 0.5, 1.5, 30 (radii 1, 1, 28.5)."""
    real, fake = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[0.5], [1.5], [30.0]])
    found = compare_manifolds(real, fake, k=1)
    assert found.precision == pytest.approx(2 / 3)  # 30 is in no ball
    assert found.recall == pytest.approx(3 / 3)  # 10 is in the wide ball of 30
    assert found.density == pytest.approx((2 + 2 + 0) / 3)  # 0.5: balls of 0 and 1; 1.5: of 1 and of 10
    assert found.coverage == pytest.approx(3 / 3)


def test_a_generator_that_lost_a_mode_is_precise_and_recalls_little() -> None:
    real = torch.cat([normal(200, seed=1), normal(200, mean=20, seed=2)])
    found = compare_manifolds(real, normal(400, seed=3))
    assert found.precision > 0.9
    assert 0.4 < found.recall < 0.51
    assert 0.4 < found.coverage < 0.51


def test_precision_and_recall_are_those_of_torch_fidelity() -> None:
    real, fake = normal(500, seed=1), normal(400, mean=0.4, sd=0.8, seed=2)
    theirs = prc_features_to_metric(fake, real, prc_neighborhood=3, save_cpu_ram=False, verbose=False)
    found = compare_manifolds(real, fake, k=3)
    assert (found.precision, found.recall) == pytest.approx((theirs["precision"], theirs["recall"]))


def test_batched_equals_whole() -> None:
    real, fake = normal(130, seed=1), normal(90, mean=0.5, seed=2)
    whole = compare_manifolds(real, fake, chunk=1000)
    for chunk in (130, 64, 7):
        assert compare_manifolds(real, fake, chunk=chunk) == pytest.approx(whole)
        assert torch.equal(find_nearest(fake, real, chunk).indices, find_nearest(fake, real).indices)


def test_nearest() -> None:
    references = normal(200, seed=1)
    queries = torch.cat([references[[7, 150]], references[[3]] + 0.01])
    found = find_nearest(queries, references)
    assert found.indices.tolist() == [7, 150, 3]
    assert found.distances[:2].tolist() == [0, 0]  # exact copies
    assert found.distances[2].item() == pytest.approx(0.01 * math.sqrt(6), rel=1e-3)


def test_memorisation() -> None:
    train, held_out = normal(400, seed=1), normal(400, seed=2)
    from_held_out = find_nearest(held_out, train).distances
    honest = compare_with_held_out(find_nearest(normal(400, seed=3), train).distances, from_held_out)
    copying = compare_with_held_out(find_nearest(train[:100] + 1e-3, train).distances, from_held_out)
    assert honest.nearer < 0.05
    assert honest.sample_distance == pytest.approx(honest.held_out_distance, rel=0.1)
    assert copying.nearer == 1
    assert copying.sample_distance < 0.01 * copying.held_out_distance


def test_refusals() -> None:
    with pytest.raises(ValueError, match="fake features: 5 samples are too few; at least 6 are needed"):
        compare_manifolds(normal(20), normal(5))
    with pytest.raises(ValueError, match="fake features: holds values"):
        compare_manifolds(normal(20), normal(20) * math.nan)
    with pytest.raises(ValueError, match="real features: holds values"):
        find_nearest(normal(20), normal(20) * math.inf)
