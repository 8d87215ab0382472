import math

import exact
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_exp.data.packed import DataSpec
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.metrics.neighbours import compare_manifolds, compare_with_held_out, find_nearest, find_several


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


def clouds(seed: int, dimensions: int, offset: float, copied: int, constant: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Reals [60, D] and fakes [50, D] of spread 0.1 about `offset`, some rows copied, some columns all the same."""
    draws = torch.Generator().manual_seed(seed)
    real, fake = (offset + 0.1 * torch.randn(count, dimensions, generator=draws) for count in (60, 50))
    real[:copied] = real[-1].clone()  # duplicates among the reals,
    fake[: copied // 2] = fake[-1].clone()  # among the fakes,
    fake[10 : 10 + copied] = real[20 : 20 + copied]  # and copies of reals
    for cloud in (real, fake):
        cloud[:, :constant] = offset
        cloud[:, constant // 2] = cloud[:, -1]  # one dimension twice
    return real, fake


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 2, 6, 40, 200]),
    st.sampled_from([0.0, -1.0, 100.0, 300.0, 1e4, -1e6]),
    st.integers(0, 20),
    st.integers(0, 2),
)
def test_equal_to_the_definitions_in_float64(
    seed: int, dimensions: int, offset: float, copied: int, constant: int
) -> None:
    """Features far from 0, duplicates, constant and copied dimensions, more dimensions than samples."""
    real, fake = clouds(seed, dimensions, offset, copied, min(constant, dimensions - 1))
    assert compare_manifolds(real, fake) == pytest.approx(exact.manifolds(real, fake, k=5), abs=1e-12)
    nearest, apart = find_nearest(fake, real, chunk=7), exact.distances(fake, real)
    assert nearest.distances.tolist() == pytest.approx(apart.min(axis=1).tolist(), rel=1e-6)
    # Of several that are as near any is right.
    chosen = apart[range(len(fake)), nearest.indices.numpy()]
    assert chosen.tolist() == pytest.approx(apart.min(axis=1).tolist(), rel=1e-6)
    assert (nearest.distances[10 : 10 + copied] == 0).all()


@pytest.mark.parametrize("offset", [100.0, 300.0])
def test_features_far_from_zero(offset: float) -> None:
    """In float32 and by products: a precision of 0.87 in the place of 0.75, of 1 in the place of 0.72."""
    draws = torch.Generator().manual_seed(0)
    real, fake = (offset + 0.1 * torch.randn(500, 64, generator=draws) for _ in range(2))
    found = compare_manifolds(real, fake)
    assert found == pytest.approx(exact.manifolds(real, fake, k=5), abs=1e-12)
    assert 0.6 < found.precision < 0.9 and 0.7 < found.density < 1.1


def test_all_samples_alike() -> None:
    """Balls of radius 0 hold exact copies and nothing else."""
    real = normal(40)
    copies = real[:1].expand(30, -1)
    assert compare_manifolds(real, copies) == pytest.approx(exact.manifolds(real, copies, k=5))
    assert compare_manifolds(copies, copies + 1e-6) == (0, 0, 0, 0)
    assert compare_manifolds(copies, copies) == (1, 1, 30 / 5, 1)


def test_copies_of_dark_images_are_found() -> None:
    """256 px, black but for some pixels: projections of them are long vectors that differ by little."""
    draws = torch.Generator().manual_seed(0)
    images = 3 * (torch.rand(60, 3, 256, 256, generator=draws) < 2e-4).byte()
    embed = pixel_features(DataSpec((3, 256, 256))).embed
    train, held_out = embed(images[:30]).features, embed(images[30:]).features
    copies = find_nearest(embed(images[5:20], chunk=4).features, train)  # another batch than that of the data
    assert copies.indices.tolist() == list(range(5, 20))
    assert compare_with_held_out(copies.distances, find_nearest(held_out, train).distances).nearer == 1


def test_refusals() -> None:
    with pytest.raises(ValueError, match="fake features: 5 samples are too few; at least 6 are needed"):
        compare_manifolds(normal(20), normal(5))
    with pytest.raises(ValueError, match="fake features: contains values"):
        compare_manifolds(normal(20), normal(20) * math.nan)
    with pytest.raises(ValueError, match="real features: contains values"):
        find_nearest(normal(20), normal(20) * math.inf)


def test_several_nearest_the_first_of_which_is_the_nearest() -> None:
    real, fake = normal(40, seed=1), normal(9, mean=0.5, seed=2)
    found, nearest = find_several(fake, real, 3, chunk=4), find_nearest(fake, real)
    assert torch.equal(found.indices[:, 0], nearest.indices)
    torch.testing.assert_close(found.distances[:, 0], nearest.distances)
    wanted = torch.cdist(fake.double(), real.double()).sort(dim=1)
    assert torch.equal(found.indices, wanted.indices[:, :3])
    torch.testing.assert_close(found.distances, wanted.values[:, :3])


def test_none_is_its_own_neighbour_but_a_copy_is() -> None:
    features = normal(12)
    features[5] = features[2]
    own = torch.tensor([2, 7])
    found = find_several(features[own], features, 1, own=own)
    assert found.indices[0].item() == 5 and found.distances[0].item() == 0
    assert found.indices[1].item() != 7 and found.distances[1].item() > 0
