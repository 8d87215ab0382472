"""Samples of known worth against known data: the data itself, noise, one image, half of the classes, copies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages, normalise
from gan_exp.data.toys import ring
from gan_exp.diagnosis import evidence
from gan_exp.diagnosis.evidence import SampleEvidence, features, octaves
from gan_exp.metrics.overfitting import overfitting

COUNT = 128
DIGITS = digits()
TRAIN, UNSEEN = DIGITS.select(torch.arange(0, 1000)), DIGITS.select(torch.arange(1000, 1797))


def examine(samples: Tensor, data: PackedImages = TRAIN, conditional: bool = False) -> dict[str, float]:
    found = SampleEvidence(data, len(samples), conditional).compare(samples)
    return {tag.removeprefix("samples/"): value for tag, value in found.items()}


def test_unseen_images_are_as_good_as_the_data() -> None:
    found = examine(normalise(UNSEEN.images[:COUNT]))
    assert found.pop("distance") == pytest.approx(0, abs=0.08)  # by other writers
    assert found.pop("duplicates") <= 0.05 and found.pop("copies") <= 0.05
    assert found.pop("variety") == pytest.approx(0.75, abs=0.1)
    assert found.pop("texture") <= 0.1
    assert found == {name: pytest.approx(1, abs=0.1) for name in ("spread", "classes")}


def test_unseen_points_are_as_good_as_the_data() -> None:
    found = examine(ring(count=512, seed=1).images, ring(count=4000))
    assert found.pop("distance") == pytest.approx(0, abs=0.002)
    assert found.pop("duplicates") <= 0.05 and found.pop("copies") <= 0.25
    assert found == {name: pytest.approx(1, abs=0.15) for name in ("spread", "variety", "classes")}


def test_noise_is_far_from_the_data() -> None:
    noise = torch.rand(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = examine(noise)
    assert found["distance"] > 0.8 and found["variety"] < 0.8 and found["copies"] == 0


def test_one_image_throughout() -> None:
    image = normalise(UNSEEN.images[:1]).expand(COUNT, -1, -1, -1)
    found = examine(image + 0.01 * torch.randn(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert found["spread"] < 0.05 and found["variety"] < 0.05 and found["classes"] < 0.2 and found["duplicates"] == 1


def test_texture_tells_blurred_and_dotted_images_from_the_data() -> None:
    """By octaves; both are near to the data, and as varied or nearly so."""
    unseen = normalise(UNSEEN.images[:COUNT])
    coarse = torch.nn.functional.avg_pool2d(unseen, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    dots = 2 * coarse + 2 * (unseen - coarse)
    assert examine(coarse)["texture"] > 5  # nothing is left between two pixels
    assert examine(coarse + 0.5 * (unseen - coarse))["texture"] == pytest.approx(1, abs=0.1)
    assert examine(dots)["texture"] == pytest.approx(1, abs=0.1)


def test_one_image_a_class_is_far_from_the_data_s_texture() -> None:
    """A G that makes one image of each class it is given; neither spread nor classes show it."""
    labels = SampleEvidence(TRAIN, COUNT).labels
    assert labels is not None and TRAIN.labels is not None
    of_class = torch.stack([normalise(TRAIN.images[TRAIN.labels == label][:1])[0] for label in range(10)])
    samples = of_class[labels] + 0.01 * torch.randn(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = examine(samples, conditional=True)
    assert found["spread"] > 0.9 and found["classes"] > 0.9 and found["texture"] > 3
    assert examine(samples)["texture"] < 1  # of all classes together
    good = torch.stack(
        [normalise(UNSEEN.images[UNSEEN.labels == label][k % 60]) for k, label in enumerate(labels.tolist())]
    )
    assert examine(good, conditional=True)["texture"] < 0.3


def test_two_of_eight_modes() -> None:
    points = ring(count=4000, seed=1)
    found = examine(points.images[points.labels < 2][:512], ring(count=4000))
    assert found["variety"] == pytest.approx(0.6, abs=0.1) and found["classes"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("sharpness", "repeated"), [(1e-4, 1.0), (1.0, 0.0)])
def test_a_point_a_mode_is_a_repetition_and_a_curve_through_it_is_none(sharpness: float, repeated: float) -> None:
    """As a generator of two latents often does: in each mode its samples lie along a line of three sigmas."""
    data = ring(count=4000)
    assert data.mixture is not None
    centers, sigma = data.mixture
    places = torch.rand(8, 64, 1, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    along = places * torch.tensor([sigma, sigma / 2]) * sharpness
    found = examine((centers[:, None] + along).reshape(-1, 2, 1, 1), data)
    assert found["duplicates"] == pytest.approx(repeated, abs=0.1) and found["classes"] == pytest.approx(1, abs=0.01)


def test_copies() -> None:
    found = examine(normalise(TRAIN.images[:COUNT]) + 0.01)
    assert found["copies"] == 1 and found["distance"] < -0.2 and found["duplicates"] < 0.1


def test_copies_of_dark_images() -> None:
    """Black but for some pixels: vectors that are long beside their distances, and by no means all the same."""
    lit = torch.rand(256, 1, 64, 64, generator=torch.Generator().manual_seed(0)) < 2e-3
    train, unseen = (PackedImages(3 * part.byte()) for part in lit.split(COUNT))
    copied, other = examine(normalise(train.images), train), examine(normalise(unseen.images), train)
    assert copied["copies"] == 1 and copied["variety"] > 1 and copied["spread"] == pytest.approx(1)
    assert other["copies"] == 0 and other["spread"] == pytest.approx(1, abs=0.05)
    assert other.get("duplicates", 0) <= 0.05 and other["distance"] == pytest.approx(0, abs=0.1)


def test_change_is_that_of_the_same_latents_and_goes_on_from_a_checkpoint() -> None:
    first, second = (normalise(UNSEEN.images[k : k + COUNT]) for k in (0, 200))
    evidence = SampleEvidence(TRAIN, COUNT)
    assert "samples/change" not in evidence.compare(first)
    assert evidence.compare(first)["samples/change"] == 0
    saved = evidence.previous
    change = evidence.compare(second)["samples/change"]
    assert change == pytest.approx(1, abs=0.15)  # other images altogether are as far as any two of the data
    resumed = SampleEvidence(TRAIN, COUNT)
    resumed.previous = saved
    assert resumed.compare(second)["samples/change"] == change


def test_labels_of_the_counterparts_are_in_the_datas_proportions() -> None:
    labels = SampleEvidence(DIGITS, 1000).labels
    assert labels is not None and torch.bincount(labels).min() > 70
    assert SampleEvidence(PackedImages(TRAIN.images), 8).labels is None


@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_few_images(count: int) -> None:
    """Even one: then nothing can be compared, and nothing is infinite."""
    found = examine(normalise(UNSEEN.images[:COUNT]), TRAIN.select(torch.arange(count)))
    assert all(abs(value) < 1e9 for value in found.values())
    assert "samples/duplicates" not in found  # of so few, a generator that makes them all must repeat itself


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0.05, 20), st.floats(-3, 3))
def test_no_unit_and_no_origin_matters(seed: int, unit: float, shift: float) -> None:
    """The same of data and samples that are both scaled and shifted."""
    points, fakes = torch.randn(2, 80, 2, 1, 1, generator=torch.Generator().manual_seed(seed))
    plain = examine(fakes, PackedImages(points, extent=1.0))
    moved = examine(fakes * unit + shift, PackedImages(points * unit + shift, extent=1.0))
    assert moved == pytest.approx(plain, rel=0.02, abs=0.03)


def test_large_images_are_averaged_down() -> None:
    assert features(torch.ones(2, 3, 64, 40)).shape == (2, 3 * 16 * 16)
    assert torch.equal(features(torch.eye(8).view(1, 1, 8, 8)), torch.eye(8).view(1, 64))


def test_overfitting_is_the_area_under_the_curve() -> None:
    train, unseen = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0])
    assert overfitting(train, unseen) == pytest.approx((1 + 0.5 + 0 + 1 + 1 + 0) / 6)
    assert overfitting(train, train) == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_octaves_leave_the_images_as_they_are(dtype: torch.dtype) -> None:
    images = torch.randn(6, 1, 8, 8, dtype=dtype)
    before = images.clone()
    octaves(images, torch.arange(6) % 2)
    assert torch.equal(images, before)


def test_references_of_large_images_are_looked_at_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(images: Tensor) -> Tensor:
        seen.append(len(images))
        return features(images)

    monkeypatch.setattr(evidence, "features", counted)
    SampleEvidence(PackedImages(torch.zeros(40, 1, 256, 256, dtype=torch.uint8)), 8)
    assert seen == [16, 16, 8]
