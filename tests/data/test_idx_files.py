"""MNIST's files are read as torchvision reads them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from fake_sets import idx, mnist_files, place
from gan_exp.data.idx_files import read_idx
from gan_exp.data.packed import Part
from gan_exp.data.torchvision_sets import CHARACTERS, CLOTHES, DIGITS, _packed


@pytest.mark.parametrize("part", ["train", "held_out"])
@pytest.mark.parametrize(("name", "classes"), [("MNIST", DIGITS), ("FashionMNIST", CLOTHES), ("KMNIST", CHARACTERS)])
def test_it_is_what_torchvision_reads(name: str, classes: tuple[str, ...], part: Part, tmp_path: Path) -> None:
    place(mnist_files(), tmp_path / name / "raw")
    theirs = _packed(getattr(torchvision.datasets, name)(tmp_path, train=part == "train"))
    ours = read_idx(tmp_path / name / "raw", part, classes)
    assert ours is not None and torch.equal(ours.images, theirs.images) and ours.classes == theirs.classes
    assert ours.labels is not None and theirs.labels is not None and torch.equal(ours.labels, theirs.labels)
    assert ours.labels.dtype == torch.int64 and ours.digest == theirs.digest


@pytest.mark.parametrize("name", mnist_files())
def test_what_is_not_whole_is_left_to_torchvision(name: str, tmp_path: Path) -> None:
    damaged = [None, mnist_files()[name][:-1], b"", idx(np.zeros((24, 2), np.uint8))]
    for number, content in enumerate(damaged[: 4 if name.startswith("train") else 3]):
        files = {**mnist_files(), name: content}
        place({key: value for key, value in files.items() if value is not None}, tmp_path / str(number))
        assert read_idx(tmp_path / str(number), "train", DIGITS) is None


def test_labels_without_a_class_are_left_to_torchvision(tmp_path: Path) -> None:
    place(mnist_files(), tmp_path / "raw")
    assert read_idx(tmp_path / "raw", "train", DIGITS[:9]) is None
