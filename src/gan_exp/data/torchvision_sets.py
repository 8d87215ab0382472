"""Data sets from torchvision: downloaded once, checked, safe when two runs start at the same time."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from gan_exp.data.idx_files import is_whole_idx, read_idx
from gan_exp.data.packed import PackedImages, Part, one_sided
from gan_exp.errors import UserError
from gan_exp.ranges import PositiveInt
from gan_exp.runtime.paths import expand_user
from gan_exp.runtime.processes import file_lock
from gan_exp.runtime.signals import waiting
from gan_exp.runtime.terminal import say

# The classes' names, as torchvision has them.
DIGITS = tuple(
    f"{number} - {name}"
    for number, name in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
)
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
CHARACTERS = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

DOWNLOAD_TIMEOUT_S = 30  # without it a network that doesn't answer would hang the run


@one_sided
def mnist(root: str, part: Part = "train") -> PackedImages:
    """60,000 handwritten digits of 28x28 (LeCun, Cortes and Burges)."""
    found = read_idx(_place(root) / "MNIST/raw", part, DIGITS)
    if found is not None:
        return found
    from torchvision.datasets import MNIST

    return _packed(_load(MNIST, "mnist", "MNIST/raw", root, train=part == "train"))


def fashion_mnist(root: str, part: Part = "train") -> PackedImages:
    """60,000 pieces of clothing of 28x28 (Xiao et al. 2017)."""
    found = read_idx(_place(root) / "FashionMNIST/raw", part, CLOTHES)
    if found is not None:
        return found
    from torchvision.datasets import FashionMNIST

    return _packed(_load(FashionMNIST, "fashion_mnist", "FashionMNIST/raw", root, train=part == "train"))


def cifar10(root: str, part: Part = "train") -> PackedImages:
    """50,000 colour photographs of 32x32 in ten classes (Krizhevsky 2009)."""
    from torchvision.datasets import CIFAR10

    return _packed(_load(CIFAR10, "cifar10", "cifar-10-batches-py", root, train=part == "train"))


@one_sided
def kmnist(root: str, part: Part = "train") -> PackedImages:
    """60,000 cursive Japanese characters of 28x28 in ten classes (Clanuwat et al. 2018)."""
    found = read_idx(_place(root) / "KMNIST/raw", part, CHARACTERS)
    if found is not None:
        return found
    from torchvision.datasets import KMNIST

    return _packed(_load(KMNIST, "kmnist", "KMNIST/raw", root, train=part == "train"))


@one_sided
def emnist(
    root: str, split: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"], part: Part = "train"
) -> PackedImages:
    """Handwritten letters and digits of 28x28 (Cohen et al. 2017); `balanced` has 112,800 in 47 classes."""
    from torchvision.datasets import EMNIST

    packed = _packed(_load(EMNIST, "emnist", "EMNIST/raw", root, train=part == "train", split=split))
    packed = replace(packed, images=packed.images.transpose(2, 3).contiguous())  # its files hold them transposed
    if split != "letters" or packed.labels is None:
        return packed
    return replace(packed, labels=packed.labels - 1, classes=packed.classes[1:])  # its class 0 (N/A) has no images


@one_sided
def svhn(root: str, part: Part = "train") -> PackedImages:
    """73,257 house numbers of 32x32 in colour, ten classes (Netzer et al. 2011); 26,032 held out, in svhn_test."""
    from torchvision.datasets import SVHN

    folder = "svhn" if part == "train" else "svhn_test"  # one file each, so that training alone downloads only one
    dataset = _load(SVHN, "svhn", folder, root, inside=folder, split="train" if part == "train" else "test")
    labels = torch.as_tensor(dataset.labels).long()
    return PackedImages(torch.as_tensor(dataset.data).contiguous(), labels, tuple(map(str, range(10))))


def celeba(root: str, cache: str, size: PositiveInt = 64, skip_broken: bool = False) -> PackedImages:
    """202,599 faces (Liu et al. 2015), the middle square of each at `size` x `size` pixels; packed once in `cache`."""
    from torchvision.datasets import CelebA

    from gan_exp.data.folder import folder

    images = _ensure_files(CelebA, "celeba", "celeba/img_align_celeba", root, split="all")
    data = folder(str(images), cache, size=size, fit="crop", channels=3, skip_broken=skip_broken, range=(0, 255))
    assert data is not None  # the part to train on
    return data


def _packed(dataset: Any) -> PackedImages:
    images = torch.as_tensor(dataset.data)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return PackedImages(images.contiguous(), torch.as_tensor(dataset.targets).long(), tuple(dataset.classes))


def _load(dataset: Any, name: str, folder: str, root: str, inside: str = "", **arguments: Any) -> Any:
    """Read `root`/`folder`, after downloading it if it is missing.

    `inside` is the folder below the root that torchvision gets; `arguments` choose the split.
    """
    files = _ensure_files(dataset, name, folder, root, inside, **arguments)
    try:
        return dataset(_place(root) / inside, download=False, **arguments)
    except Exception as error:  # torchvision's readers raise anything for broken bytes
        reason = _find_broken_file(dataset, files) or " ".join(str(error).split())
        raise UserError(
            f"dataset={name}: the files in {files} can't be used ({reason}); "
            f"remove that folder to download them anew, or place intact ones there"
        ) from error


def _ensure_files(dataset: Any, name: str, folder: str, root: str, inside: str = "", **arguments: Any) -> Path:
    """The folder of the files, which are downloaded if it is missing or empty."""
    place = _place(root)
    if not _present(place / folder):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with file_lock(place / f".{name}.lock"):
                if not _present(place / folder):  # another run may have downloaded it meanwhile
                    _download(lambda below: dataset(below / inside, download=True, **arguments), name, folder, place)
        except OSError as error:
            raise UserError(
                f"dataset.root={root}: can't write there ({error.strerror or error}); choose another folder"
            ) from error
    return place / folder


def _place(root: str) -> Path:
    return expand_user(root, "dataset.root", "GAN_EXP_DATA")


def _present(files: Path) -> bool:
    return files.is_dir() and any(files.iterdir())


def _find_broken_file(dataset: Any, files: Path) -> str | None:
    """The first file that is missing or damaged, which torchvision's messages don't name."""
    from torchvision.datasets.utils import check_integrity

    if hasattr(dataset, "splits") or not hasattr(dataset, "resources" if hasattr(dataset, "mirrors") else "train_list"):
        return None  # EMNIST, SVHN and CelebA don't list their files in a common form
    if hasattr(dataset, "resources"):  # MNIST and similar sets: the checksums are those of the compressed files
        checks = {Path(name).stem: is_whole_idx for name, _ in dataset.resources}
    else:
        known = [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]
        checks = {name: partial(check_integrity, md5=md5) for name, md5 in known}
    for name, is_whole in checks.items():
        if not (files / name).is_file():
            return f"{name} is missing"
        if not is_whole(files / name):
            return f"{name} is truncated or changed"
    return None


def _download(make: Callable[[Path], Any], name: str, folder: str, place: Path) -> None:
    """Download into another folder and rename it, so that a killed download leaves nothing that looks complete."""
    staging = place / f".{name}.incomplete"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    say(f"downloading {name} to {place} ...")
    try:
        with _socket_timeout(DOWNLOAD_TIMEOUT_S), waiting():
            make(staging)
    except Exception as error:  # URLError, RuntimeError ("Error downloading"), a wrong checksum, a time-out
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"dataset={name}: the download failed ({reason}); without a network, place torchvision's files "
            f"by hand in {place / folder} (or name the folder above with dataset.root=...), "
            f"or use dataset=digits, which needs no download"
        ) from error
    else:
        files = place / folder
        files.parent.mkdir(parents=True, exist_ok=True)
        if files.exists():  # it is empty, or _present would have found it
            files.rmdir()
        os.replace(staging / folder, files)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
