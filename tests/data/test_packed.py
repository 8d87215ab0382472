"""Packed data: batches as functions of (seed, number), uniform over the images, with matching labels."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from gan_exp.data.packed import Batches, PackedImages, Sampling, normalise, to_uint8

SAMPLING = st.sampled_from(["with_replacement", "shuffled"])
SEEDS = st.integers(0, 2**32)


def numbered(count: int) -> PackedImages:
    """Images that contain their number in two bytes; their labels are that number too."""
    numbers = torch.arange(count)
    pixels = torch.stack([numbers // 256, numbers % 256], dim=1).byte()
    return PackedImages(pixels.view(count, 1, 1, 2), numbers)


def which(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0].int() * 256 + images[:, 0, 0, 1].int()).tolist()


@given(st.integers(1, 60), st.integers(1, 150), SAMPLING, SEEDS, st.lists(st.integers(0, 300), min_size=1, max_size=8))
def test_a_batch_depends_on_its_number_alone(
    count: int, batch_size: int, sampling: Sampling, seed: int, numbers: list[int]
) -> None:
    batches = Batches(numbered(count), batch_size, sampling, seed)
    for number in numbers:
        batch = batches.draw(number)
        assert batch.images.shape == (batch_size, 1, 1, 2) and batch.images.dtype == torch.uint8
        assert which(batch.images) == which(Batches(numbered(count), batch_size, sampling, seed).draw(number).images)


@given(st.integers(1, 40), st.integers(1, 100), SAMPLING, SEEDS)
def test_labels_travel_with_their_images(count: int, batch_size: int, sampling: Sampling, seed: int) -> None:
    batches = Batches(numbered(count), batch_size, sampling, seed)
    for number in range(3):
        images, labels = batches.draw(number)
        assert labels is not None and labels.tolist() == which(images)


@given(st.integers(1, 40), st.integers(1, 100), SEEDS)
def test_an_epoch_shows_each_image_once(count: int, batch_size: int, seed: int) -> None:
    """Across the boundaries of batches, and where a batch is larger than the data set."""
    batches = Batches(numbered(count), batch_size, "shuffled", seed)
    shown: list[int] = []
    number = 0
    while len(shown) < 4 * count:
        shown += which(batches.draw(number).images)
        number += 1
    for epoch in range(4):
        assert sorted(shown[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = {
        tuple(which(Batches(numbered(50), 50, "shuffled", seed).draw(epoch).images))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9 and tuple(range(50)) not in orders


def test_shuffled_places_are_uniform() -> None:
    """Every image is as likely in every place of an epoch."""
    batches = Batches(numbered(6), 6, "shuffled", 0)
    counts = torch.zeros(6, 6)
    for epoch in range(1200):
        for place, image in enumerate(which(batches.draw(epoch).images)):
            counts[image, place] += 1
    assert stats.chisquare(counts.flatten()).pvalue > 1e-3


def test_with_replacement_is_uniform_and_independent() -> None:
    batches = Batches(numbered(40), 100, "with_replacement", 0)
    drawn = [which(batches.draw(number).images) for number in range(200)]
    counts = torch.bincount(torch.tensor(drawn).flatten(), minlength=40)
    assert stats.chisquare(counts).pvalue > 1e-3
    # All pairs are equally likely, for neighbours in a batch and for one position in neighbouring batches.
    for pairs in (
        [(first, second) for row in drawn for first, second in pairwise(row)],
        [(a, b) for row, after in pairwise(drawn) for a, b in zip(row, after, strict=True)],
    ):
        joint = torch.bincount(torch.tensor([40 * first + second for first, second in pairs]), minlength=1600)
        assert stats.chisquare(joint).pvalue > 1e-3


@pytest.mark.parametrize("sampling", ["shuffled", "with_replacement"])
def test_the_order_does_not_depend_on_the_datas_device(sampling: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether data is kept on the GPU depends on the free memory; its batches must not."""
    drawn: list[list[int]] = []
    original = Tensor.to

    def noted(self: Tensor, *where: Any) -> Tensor:
        drawn.append(self.tolist())
        return original(self, *where)

    elsewhere = numbered(20).to(torch.device("meta"))  # a device without data
    monkeypatch.setattr(Tensor, "to", noted)
    assert Batches(elsewhere, 7, sampling, 5).draw(0).images.device.type == "meta"
    monkeypatch.undo()
    assert drawn[0][:7] == which(Batches(numbered(20), 7, sampling, 5).draw(0).images)


def test_data_without_labels() -> None:
    data = PackedImages(numbered(5).images)
    assert Batches(data, 3, "shuffled", 0).draw(0).labels is None
    assert data.resized(4, 4).labels is None


def test_normalise_and_back_for_all_values() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    normalised = normalise(values)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised.flatten().double(), torch.arange(256).double() / 127.5 - 1, rtol=0, atol=2e-7)
    assert torch.equal(to_uint8(normalised), values)
    assert torch.equal(values.flatten(), torch.arange(256).byte())  # the packed data is not written to


@given(st.floats(-1, 1, width=32))
def test_to_uint8_takes_the_nearest(value: float) -> None:
    byte = to_uint8(torch.tensor([value])).item()
    assert abs(byte - (value + 1) * 127.5) <= 0.5 + 1e-4


def test_to_uint8_does_not_wrap_around() -> None:
    assert to_uint8(torch.tensor([-1.5, -1.0, 1.0, 1.5])).tolist() == [0, 0, 255, 255]


def test_resize() -> None:
    columns = torch.arange(0, 250, 25, dtype=torch.uint8)  # brighter to the right
    data = PackedImages(columns.view(1, 1, 1, 10).expand(7, 3, 6, 10).contiguous(), torch.arange(7), ("a",))
    small = data.resized(3, 5)
    assert small.images.shape == (7, 3, 3, 5) and small.images.dtype == torch.uint8
    assert small.image_shape == (3, 3, 5)
    row = small.images[0, 0, 0].int()
    assert (row.diff() > 20).all() and (small.images.int() - row).abs().max() <= 1  # within rounding errors
    assert small.labels is data.labels and small.classes == ("a",)
    large = data.resized(12, 40).images
    assert large.shape == (7, 3, 12, 40) and large.max() <= 225  # no value outside the original range


def test_resizing_in_chunks_equals_resizing_at_once() -> None:
    images = torch.randint(256, (10, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = PackedImages(images)
    assert torch.equal(data.resized(5, 6, chunk=3).images, data.resized(5, 6).images)
    assert data.resized(8, 8) is data


def test_resize_keeps_what_is_even() -> None:
    for value in (0, 1, 127, 254, 255):
        data = PackedImages(torch.full((2, 1, 9, 7), value, dtype=torch.uint8))
        for size in ((3, 3), (28, 28), (64, 5)):
            assert (data.resized(*size).images == value).all()


@pytest.mark.parametrize(
    "images", [torch.zeros(3, 1, 2, 2), torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(0, 1, 2, 2).byte()]
)
def test_other_tensors_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 tensor \[N, C, H, W\]"):
        PackedImages(images)


def test_labels_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="3 images with labels"):
        PackedImages(torch.zeros(3, 1, 2, 2).byte(), torch.zeros(2).long())


def test_examples_are_distinct_and_of_the_given_classes() -> None:
    data = numbered(12)
    drawn = data.examples(12, torch.Generator().manual_seed(1))
    assert sorted(image.tolist() for image in drawn) == sorted(image.tolist() for image in data.images)
    assert not torch.equal(drawn, data.images)
    assert len(data.examples(30, torch.Generator().manual_seed(1))) == 30  # more than there are images
    labelled = replace(data, labels=torch.arange(12) % 3)
    wanted = torch.tensor([2, 2, 0, 5])  # nothing is of class 5
    drawn = labelled.examples(4, torch.Generator().manual_seed(1), wanted)
    found = [int((data.images == image).flatten(1).all(dim=1).nonzero()) for image in drawn]
    assert [number % 3 for number in found[:3]] == [2, 2, 0] and found[0] != found[1]


@pytest.mark.parametrize("sampling", ["shuffled", "with_replacement"])
def test_mirrored_batches(sampling: Sampling) -> None:
    """Half of the images are mirrored, as the batch's number decides; rows of a batch are those of the whole."""
    images = torch.randint(256, (40, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = Batches(PackedImages(images), 40, sampling, seed=1)
    mirroring = Batches(PackedImages(images), 40, sampling, seed=1, mirror=True)
    mirrored, ways = 0, set()
    for number in range(20):
        before, after = plain.draw(number).images, mirroring.draw(number).images
        turned = (after != before).flatten(1).any(dim=1)
        assert torch.equal(after[turned], before[turned].flip(3))
        assert torch.equal(after, mirroring.draw(number).images)
        assert torch.equal(after[10:25], mirroring.draw(number, slice(10, 25)).images)
        mirrored += int(turned.sum())
        ways.add(tuple(turned.tolist()))
    assert 0.4 < mirrored / 800 < 0.6 and len(ways) == 20
