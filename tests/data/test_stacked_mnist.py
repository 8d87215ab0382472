"""Stacked MNIST on a made MNIST."""

from pathlib import Path

import pytest
import torch

from fake_sets import TRAIN, mnist_files, place
from gan_exp.data.stacked_mnist import stacked_mnist
from gan_exp.data.torchvision_sets import mnist
from gan_exp.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> str:
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    return str(tmp_path)


def test_each_channel_is_a_digit_and_the_label_their_number(root: str) -> None:
    data, digits = stacked_mnist(root, count=3000), mnist(root)
    assert data.images.shape == (3000, 3, 28, 28) and data.images.dtype == torch.uint8
    assert data.labels is not None and digits.labels is not None
    assert data.classes[7] == "007" and len(data.classes) == data.spec.num_classes == 1000
    # Finds the digit of each channel: the made digits are noise, and all different.
    found = torch.cdist(data.images.flatten(2).float(), digits.images.flatten(1).float()[None]).argmin(dim=2)
    assert torch.equal(digits.images[:, 0][found], data.images)
    assert torch.equal((digits.labels[found] * torch.tensor([100, 10, 1])).sum(dim=1), data.labels)
    # Drawn with replacement, independently for each channel.
    assert torch.bincount(found.flatten(), minlength=TRAIN).min() > 0.75 * 9000 / TRAIN
    assert (found[:, 0] == found[:, 1]).float().mean() < 2.5 / TRAIN
    assert data.labels.unique().numel() > 900


def test_the_published_size(root: str) -> None:
    assert len(stacked_mnist(root).images) == 128_000


def test_the_datas_seed(root: str) -> None:
    first, again, other = (stacked_mnist(root, count=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)


def test_without_mnist(tmp_path: Path) -> None:
    place({"train-images-idx3-ubyte": b""}, tmp_path / "MNIST" / "raw")
    with pytest.raises(UserError, match="dataset=mnist: the files in"):
        stacked_mnist(str(tmp_path))


def test_held_out_digits_are_the_test_ones(root: str) -> None:
    data, digits = stacked_mnist(root, count=500, part="held_out"), mnist(root, part="held_out")
    assert data.channel_data is not None and torch.equal(data.channel_data.images, digits.images)
    known = {image.numpy().tobytes() for image in digits.images[:, 0]}
    assert {image.numpy().tobytes() for image in data.images.flatten(0, 1)} == known
    assert data.resized(9, 12).channel_data.image_shape == (1, 9, 12)  # type: ignore[union-attr]
