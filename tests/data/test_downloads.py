"""Downloads of torchvision's data sets from a local server: once, checked, and safe when killed."""

import gzip
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, MNIST

from fake_sets import (
    TEST,
    check_emnist,
    check_mnist,
    mnist_files,
)
from forked import Forked
from gan_exp.data.packed import PackedImages
from gan_exp.data.torchvision_sets import cifar10, emnist, fashion_mnist, kmnist, mnist, svhn
from gan_exp.errors import UserError
from mirror import Mirror, running_mirror
from waiting import LONGEST_WAIT_S


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with running_mirror(monkeypatch) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(("load", "folder"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST"), (kmnist, "KMNIST")])
def test_downloads_once(
    load: Callable[[str], PackedImages], folder: str, mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "not" / "there yet"
    check_mnist(load(str(root)))
    assert f"downloading {load.__name__} to {root}" in capsys.readouterr().out
    assert sorted(mirror.downloads) == sorted(f"{name}.gz" for name in mnist_files())
    check_mnist(load(str(root)))
    assert len(mirror.downloads) == 4
    # Only the data and the lock are left, no partial files.
    assert sorted(path.name for path in root.iterdir()) == sorted([f".{load.__name__}.lock", folder])


def test_downloads_cifar10(mirror: Mirror, tmp_path: Path) -> None:
    data = cifar10(str(tmp_path))
    random = np.random.default_rng(0)
    expected = [random.integers(0, 256, (TEST, 3, 32, 32), dtype=np.uint8) for _ in range(5)]
    np.testing.assert_array_equal(data.images.numpy(), np.concatenate(expected))
    assert data.labels is not None
    assert data.labels.tolist() == list(range(TEST)) * 5
    assert data.classes[:2] == ("class 0", "class 1")
    assert mirror.downloads == [CIFAR10.filename]


def test_downloads_emnist(mirror: Mirror, tmp_path: Path) -> None:
    for _ in range(2):
        data = emnist(str(tmp_path), "balanced")
        check_emnist(data)
        assert len(data.classes) == 47 and data.classes[:2] == ("0", "1")
    assert mirror.downloads == ["gzip.zip"]
    with pytest.raises(UserError, match=r"dataset=emnist: the files in .* can't be used"):
        emnist(str(tmp_path), "digits")  # which the server's archive lacks


def test_downloads_svhn(mirror: Mirror, tmp_path: Path) -> None:
    for _ in range(2):
        data = svhn(str(tmp_path))
        expected = np.random.default_rng(0).integers(0, 256, (TEST, 3, 32, 32), dtype=np.uint8)
        np.testing.assert_array_equal(data.images.numpy(), expected)
        assert data.images.is_contiguous()
        assert data.labels is not None and data.labels.tolist() == [0, 1, 9, 0]
        assert data.classes == tuple("0123456789")
    assert mirror.downloads == ["train_32x32.mat"]
    assert (tmp_path / "svhn" / "train_32x32.mat").is_file()


def test_two_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    start = threading.Barrier(2)

    def load() -> PackedImages:
        start.wait()
        return mnist(str(tmp_path))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(load), pool.submit(load)]:
            check_mnist(future.result())
    assert len(mirror.downloads) == 4


def refused_download(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        mnist(str(root))
    sentence = str(caught.value)
    assert sentence.startswith("dataset=mnist: the download failed (")
    assert "\n" not in sentence
    for remedy in (str(root / "MNIST/raw"), "by hand", "dataset.root=", "dataset=digits"):
        assert remedy in sentence
    # Nothing that a later run could mistake for the data.
    assert [path.name for path in root.iterdir()] == [".mnist.lock"]
    return sentence


def test_wrong_checksum(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"something else")
    assert "t10k-labels-idx1-ubyte.gz" in refused_download(tmp_path)


def test_no_server(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port  # free as soon as this block ends
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    assert "refused" in refused_download(tmp_path)


def test_failed_download_then_success(mirror: Mirror, tmp_path: Path) -> None:
    right = mirror.files["train-images-idx3-ubyte.gz"]
    mirror.files["train-images-idx3-ubyte.gz"] = right[:-10]
    refused_download(tmp_path)
    mirror.files["train-images-idx3-ubyte.gz"] = right
    check_mnist(mnist(str(tmp_path)))


def test_download_leaves_the_users_files_alone(mirror: Mirror, tmp_path: Path) -> None:
    notes = tmp_path / "MNIST" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    (tmp_path / "MNIST" / "raw").mkdir()
    check_mnist(mnist(str(tmp_path)))
    assert notes.read_text() == "mine"


@pytest.mark.slow
def test_killed_download_leaves_nothing_that_looks_complete(mirror: Mirror, tmp_path: Path) -> None:
    mirror.held = "train-labels-idx1-ubyte.gz"  # the second file: the first one is there already

    def download() -> int:
        mnist(str(tmp_path))
        return 0

    process = Forked(download, tmp_path)
    assert mirror.half_sent.wait(timeout=LONGEST_WAIT_S)
    process.kill()
    assert process.wait(LONGEST_WAIT_S) == -signal.SIGKILL
    assert not (tmp_path / "MNIST").exists()

    mirror.held = ""
    check_mnist(mnist(str(tmp_path)))
    assert not (tmp_path / ".mnist.incomplete").exists()
