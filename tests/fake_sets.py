"""Small data sets in the file formats of torchvision's sets, and checks of their content once loaded."""

import hashlib
import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import CIFAR10, SVHN

from gan_exp.data.packed import PackedImages

TRAIN, TEST = 24, 4


def idx(array: np.ndarray) -> bytes:
    """IDX: two zero bytes, 8 for uint8, the number of dimensions, each size as big-endian int32, then the data."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_files() -> dict[str, bytes]:
    """The four files of MNIST and Fashion-MNIST, unpacked."""
    random = np.random.default_rng(0)
    files = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        files[f"{part}-images-idx3-ubyte"] = idx(random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def cifar10_files() -> dict[str, bytes]:
    """The seven files of CIFAR-10 that torchvision looks at."""
    random = np.random.default_rng(0)
    files = {"batches.meta": pickle.dumps({"label_names": [f"class {k}" for k in range(10)]})}
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        images = random.integers(0, 256, (TEST, 3 * 32 * 32), dtype=np.uint8)
        files[name] = pickle.dumps({"data": images, "labels": list(range(TEST))})
    return files


def emnist_files(split: str = "balanced") -> dict[str, bytes]:
    """The files of one split of EMNIST's training set; the letters' labels begin at 1."""
    images = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
    labels = (np.arange(TRAIN) % 10 + (split == "letters")).astype(np.uint8)
    named = f"emnist-{split}-train"
    return {f"{named}-images-idx3-ubyte": idx(images), f"{named}-labels-idx1-ubyte": idx(labels)}


def svhn_file() -> bytes:
    """A MATLAB file as SVHN's: X [32, 32, 3, N] and y [N, 1], where 10 stands for the digit 0."""
    images = np.random.default_rng(0).integers(0, 256, (TEST, 3, 32, 32), dtype=np.uint8)
    buffer = io.BytesIO()
    savemat(buffer, {"X": images.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [9], [10]], dtype=np.uint8)})
    return buffer.getvalue()


def expect_svhn(content: bytes, monkeypatch: pytest.MonkeyPatch, url: str = "") -> None:
    monkeypatch.setattr(SVHN, "split_list", {"train": [url, "train_32x32.mat", md5(content)]})


def celeba_files() -> dict[str, bytes]:
    """Faces of CelebA's size, a shade each."""
    files = {}
    for number in range(TEST):
        buffer = io.BytesIO()
        Image.new("RGB", (178, 218), (10 * number, 0, 0)).save(buffer, "JPEG")
        files[f"{number + 1:06d}.jpg"] = buffer.getvalue()
    return files


def place(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def expect_cifar10(files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision take the checksums of `files` for the right ones."""
    batches = [[name, md5(content)] for name, content in files.items() if name.startswith("data_batch")]
    monkeypatch.setattr(CIFAR10, "train_list", batches)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(files["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(files["batches.meta"])})


def check_mnist(data: PackedImages) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
    assert data.images.dtype == torch.uint8
    np.testing.assert_array_equal(data.images.numpy(), expected[:, None])
    assert data.labels is not None
    assert data.labels.tolist() == [k % 10 for k in range(TRAIN)]
    assert len(data.classes) == 10


def check_emnist(data: PackedImages) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(data.images[:, 0].numpy(), stored.transpose(0, 2, 1))  # upright
    assert data.images.is_contiguous()
    assert data.labels is not None
    assert data.labels.tolist() == [k % 10 for k in range(TRAIN)]
