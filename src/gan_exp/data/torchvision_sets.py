"""MNIST, Fashion-MNIST and CIFAR-10 through torchvision: downloaded once, checked, safe when two runs start at once."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError

DOWNLOAD_TIMEOUT_S = 30  # without one a silent network would hang the run


def mnist(root: str) -> PackedImages:
    """60,000 handwritten digits of 28x28 (LeCun, Cortes and Burges)."""
    from torchvision.datasets import MNIST

    return _packed(_load(MNIST, "mnist", "MNIST/raw", root))


def fashion_mnist(root: str) -> PackedImages:
    """60,000 pieces of clothing of 28x28 (Xiao et al. 2017)."""
    from torchvision.datasets import FashionMNIST

    return _packed(_load(FashionMNIST, "fashion_mnist", "FashionMNIST/raw", root))


def cifar10(root: str) -> PackedImages:
    """50,000 colour photographs of 32x32 in ten classes (Krizhevsky 2009)."""
    from torchvision.datasets import CIFAR10

    return _packed(_load(CIFAR10, "cifar10", "cifar-10-batches-py", root))


def _packed(dataset: Any) -> PackedImages:
    images = torch.as_tensor(dataset.data)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return PackedImages(images.contiguous(), torch.as_tensor(dataset.targets).long(), tuple(dataset.classes))


def _load(dataset: Any, name: str, folder: str, root: str) -> Any:
    """Read `root`/`folder`, after downloading it where it isn't there."""
    place = Path(root).expanduser()
    if not _present(dataset, name, folder, place):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f".{name}.lock"):
                if not _present(dataset, name, folder, place):  # another run may have brought it meanwhile
                    _download(dataset, name, folder, place)
        except OSError as error:
            raise UserError(
                f"dataset.root={root}: can't write there ({error.strerror or error}); choose another folder"
            ) from error
    return _read(dataset, name, folder, place)


def _present(dataset: Any, name: str, folder: str, place: Path) -> bool:
    files = place / folder
    return files.is_dir() and any(files.iterdir())


def _read(dataset: Any, name: str, folder: str, place: Path) -> Any:
    try:
        return dataset(place, train=True, download=False)
    except Exception as error:  # torchvision's readers raise whatever the broken bytes lead to
        raise UserError(
            f"dataset={name}: the files in {place / folder} are incomplete or damaged ({error}); "
            f"remove that folder to download them anew, or place whole ones there"
        ) from error


def _download(dataset: Any, name: str, folder: str, place: Path) -> None:
    """Download beside and rename, so that a run that is killed half-way leaves nothing that looks whole."""
    top = Path(folder).parts[0]
    staging = place / f".{name}.incomplete"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    print(f"downloading {name} to {place} ...", flush=True)
    try:
        with _socket_timeout(DOWNLOAD_TIMEOUT_S):
            dataset(staging, train=True, download=True)
    except Exception as error:  # URLError, RuntimeError ("Error downloading"), a wrong checksum, a time-out
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"dataset={name}: the download failed ({reason}); without a network, place torchvision's files "
            f"by hand in {place / folder} (or name the folder above with dataset.root=...), "
            f"or use dataset=digits, which needs no download"
        ) from error
    else:
        shutil.rmtree(place / top, ignore_errors=True)  # an empty shell, or _present would have found it
        os.replace(staging / top, place / top)
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
