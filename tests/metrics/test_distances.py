import math

import pytest
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

from gan_exp.metrics import distances
from gan_exp.metrics.distances import KernelReference, class_score, frechet_distance, kernel_distance, score_splits


def normal(count: int, dim: int = 8, mean: float = 0.0, sd: float = 1.0, seed: int = 0) -> torch.Tensor:
    return mean + sd * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    """Exactly, since only mean and covariance count: whitened samples have the ones that are asked for."""
    real, fake = normal(400, seed=1).double(), normal(500, seed=2).double()
    real, fake = whitened(real), whitened(fake)
    scale, shift = torch.linspace(0.5, 2, 8).double(), torch.linspace(-1, 1, 8).double()
    expected = (shift**2).sum() + ((scale - 1) ** 2).sum()
    assert frechet_distance(real, fake * scale + shift) == pytest.approx(expected.item(), rel=1e-9)
    # Covariances that don't commute: tr(A + B - 2 (A B)^(1/2)) by A's own root.
    first, second = (torch.randn(8, 8, generator=torch.Generator().manual_seed(k)).double() for k in (3, 4))
    one, other = first @ first.T, second @ second.T
    values, vectors = torch.linalg.eigh(one)
    root = vectors @ values.sqrt().diag() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    expected = one.trace() + other.trace() - 2 * trace
    assert frechet_distance(real @ first.T, fake @ second.T) == pytest.approx(expected.item(), rel=1e-8)


def whitened(samples: torch.Tensor) -> torch.Tensor:
    samples = samples - samples.mean(dim=0)
    return samples @ torch.linalg.inv(torch.linalg.cholesky(samples.T.cov().contiguous())).T


@pytest.mark.slow
def test_identical_and_permuted_sets() -> None:
    features = normal(1200)
    permuted = features[torch.randperm(1200, generator=torch.Generator().manual_seed(1))]
    for other in (features, permuted):
        assert frechet_distance(features, other) == pytest.approx(0, abs=1e-9)
        assert kernel_distance(features, other, seed=0).mean == pytest.approx(0, abs=0.02)
    moved = normal(1200, mean=0.7, seed=1)
    assert kernel_distance(features, moved, seed=0).mean > 0.5
    assert frechet_distance(features, moved) == pytest.approx(frechet_distance(permuted, moved), rel=1e-9)


@pytest.mark.slow
def test_distances_grow_with_the_difference() -> None:
    real = normal(1500)
    fids = [frechet_distance(real, normal(1500, mean=mean, seed=1)) for mean in (0, 0.2, 0.5)]
    kids = [kernel_distance(real, normal(1500, mean=mean, seed=1), seed=0).mean for mean in (0, 0.2, 0.5)]
    assert fids == sorted(fids) and kids == sorted(kids)
    assert fids[2] == pytest.approx(8 * 0.25, rel=0.1)


def test_kernel_distance_is_the_unbiased_estimate() -> None:
    """Against the sums written out, where a subset is the whole set."""
    real, fake = normal(30, seed=1).double(), normal(30, mean=0.5, seed=2).double()

    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.T / 8 + 1) ** 3

    within = sum((kernel(x, x).sum() - kernel(x, x).diag().sum()) / (30 * 29) for x in (real, fake))
    expected = (within - 2 * kernel(real, fake).mean()).item()
    found = kernel_distance(real, fake, seed=3, subsets=4)
    assert found.mean == pytest.approx(expected, rel=1e-5)
    assert found.sd == pytest.approx(0, abs=1e-6)
    far = kernel_distance(real + 300, fake + 300, seed=3, subsets=4)  # in float64, where float32 would keep nothing
    within = sum((kernel(x, x).sum() - kernel(x, x).diag().sum()) / (30 * 29) for x in (real + 300, fake + 300))
    assert far.mean == pytest.approx((within - 2 * kernel(real + 300, fake + 300).mean()).item(), rel=1e-6)


def test_single_precision_is_enough_for_short_features(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(1000, dim=64, seed=1), normal(1000, dim=64, mean=0.02, seed=2)
    single = kernel_distance(real, fake, seed=1, subsets=3)
    monkeypatch.setattr(distances, "LARGEST_IN_SINGLE", 0.0)
    assert single == pytest.approx(kernel_distance(real, fake, seed=1, subsets=3), abs=1e-6)


def test_kernel_distance_of_subsets_is_drawn_by_the_seed() -> None:
    real, fake = normal(1300, seed=1), normal(1300, mean=0.3, seed=2)
    first = kernel_distance(real, fake, seed=1, subsets=5)
    assert first == kernel_distance(real, fake, seed=1, subsets=5)
    assert first != kernel_distance(real, fake, seed=2, subsets=5)
    assert first.sd > 0


def test_class_score() -> None:
    """Sure and even: the number of classes; sure and always the same, or unsure: 1."""
    even = 50 * torch.eye(4).repeat(2500, 1)
    assert class_score(even, seed=0).mean == pytest.approx(4, rel=5e-3)
    assert class_score(50 * torch.eye(4)[torch.zeros(100, dtype=torch.long)], seed=0) == pytest.approx((1, 0))
    assert class_score(torch.zeros(100, 4), seed=0) == pytest.approx((1, 0))
    assert class_score(even + 7, seed=0).mean < math.nextafter(4, 5)


@pytest.mark.parametrize(
    ("real", "fake", "sentence"),
    [
        (normal(1), normal(5), "real features: 1 sample is too few; at least 2 are needed"),
        (normal(5), normal(0), "fake features: 0 samples are too few; at least 2 are needed"),
        (normal(5), normal(5, dim=7), "real features have 8 dimensions, fake ones 7"),
        (normal(5) / 0, normal(5), "real features: contains values that are not finite"),
        (normal(5), normal(5) * math.nan, "fake features: contains values that are not finite"),
        (normal(5)[0], normal(5), "real features: must be \\[N, D\\], not \\[8\\]"),
    ],
)
def test_refusals(real: torch.Tensor, fake: torch.Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        frechet_distance(real, fake)
    with pytest.raises(ValueError, match=sentence):
        kernel_distance(real, fake, seed=0)


def test_frechet_and_score_are_those_of_torch_fidelity() -> None:
    real, fake = normal(400, seed=1) + 30, normal(300, mean=30.4, sd=0.8, seed=2)
    theirs = fid_statistics_to_metric(*map(fid_features_to_statistics, (real.double(), fake.double())), False)
    assert frechet_distance(real, fake) == pytest.approx(theirs[KEY_METRIC_FID], rel=1e-9)
    logits = normal(2000, mean=0, sd=3, seed=3)
    score = isc_features_to_metric(logits, 10, shuffle=True, rng_seed=5)
    assert class_score(logits, seed=5) == pytest.approx((score[KEY_METRIC_ISC_MEAN], score[KEY_METRIC_ISC_STD]))


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_frechet_distance_of_few_samples_and_one_dimension(offset: float) -> None:
    """More dimensions than samples, copied and constant ones; and one, which has no matrix of covariances."""
    real, fake = normal(20, dim=60, seed=1), normal(20, dim=60, seed=2)
    real[:, 0], fake[:, 0], real[:, 1], fake[:, 1] = 3, 3, real[:, 2], fake[:, 2]
    one, other = (features - features.mean(dim=0) for features in (real.double(), fake.double()))
    shared = torch.linalg.matrix_norm(one @ other.T, "nuc") / 19  # the covariances' roots are the samples
    expected = (real.double().mean(dim=0) - fake.double().mean(dim=0)).square().sum()
    expected += (one.square().sum() + other.square().sum()) / 19 - 2 * shared
    assert frechet_distance(real + offset, fake + offset) == pytest.approx(expected.item(), rel=1e-4)
    assert frechet_distance(real + offset, real + offset) == pytest.approx(0, abs=1e-5)
    line, moved = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [5.0], [8.0]])
    expected_of_line = (6 - 1) ** 2 + (math.sqrt(2) - math.sqrt(3)) ** 2
    assert frechet_distance(line + offset, moved + offset) == pytest.approx(expected_of_line, rel=1e-6)
    assert kernel_distance(line, moved, seed=0).mean > 0


def test_the_kernels_reference_serves_every_comparison() -> None:
    real, fake = normal(1300, seed=1), normal(1200, mean=0.3, seed=2)
    reference = KernelReference(real, subsets=5)
    assert reference.distance(fake, 1) == reference.distance(fake, 1) == kernel_distance(real, fake, 1, subsets=5)
    assert reference.distance(fake[:500], 1) == kernel_distance(real, fake[:500], 1, subsets=5)


@pytest.mark.parametrize(("count", "splits"), [(10, 1), (99, 1), (350, 3), (1000, 10), (50_000, 10)])
def test_a_split_of_the_score_is_never_a_single_sample(count: int, splits: int) -> None:
    assert score_splits(count) == splits
    logits = 50 * torch.eye(4)[torch.arange(count) % 4]
    assert class_score(logits, seed=0).mean == pytest.approx(4, rel=0.1)


def test_a_class_that_no_sample_can_be_of() -> None:
    logits = torch.tensor([[0.0, -2000.0]]).repeat(20, 1)
    assert class_score(logits, seed=0).mean == pytest.approx(1)


def test_score_refusals() -> None:
    with pytest.raises(ValueError, match="logits: 9 samples are too few; at least 10 are needed"):
        class_score(torch.zeros(9, 3), seed=0)
    with pytest.raises(ValueError, match="logits: contains values"):
        class_score(torch.full((20, 3), math.nan), seed=0)
