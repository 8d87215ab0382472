import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, EMNIST, KMNIST, MNIST, SVHN, FashionMNIST

from fake_sets import (
    TEST,
    TRAIN,
    celeba_files,
    cifar10_files,
    emnist_files,
    expect_cifar10,
    expect_svhn,
    md5,
    mnist_files,
    place,
    svhn_file,
)
from gan_exp.data.packed import PackedImages
from gan_exp.data.torchvision_sets import celeba, cifar10, emnist, fashion_mnist, kmnist, mnist, svhn
from gan_exp.errors import UserError
from waiting import LONGEST_WAIT_S


class Mirror(ThreadingHTTPServer):
    """Serves `files` on 127.0.0.1; of the file called `held` only the first half, until `release` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.held = ""
        self.half_sent, self.release = threading.Event(), threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        """A client that leaves in the middle is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.strip("/")
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.headers["Method"] == "HEAD":  # torchvision looks for redirections so, and reads nothing
            return
        self.server.downloads.append(name)
        half = len(content) // 2
        self.wfile.write(content[:half])
        if name == self.server.held:
            self.wfile.flush()
            self.server.half_sent.set()
            self.server.release.wait()
        self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A server with all data sets that come over plain HTTP, where torchvision looks for them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Mirror()
    packed = {f"{name}.gz": gzip.compress(content) for name, content in mnist_files().items()}
    for dataset in (MNIST, FashionMNIST, KMNIST):
        monkeypatch.setattr(dataset, "mirrors", [server.address])
        monkeypatch.setattr(dataset, "resources", [(name, md5(content)) for name, content in packed.items()])
    archive = tarred(cifar10_files(), CIFAR10.base_folder)
    expect_cifar10(cifar10_files(), monkeypatch)
    monkeypatch.setattr(CIFAR10, "url", f"{server.address}{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    letters = zipped({f"gzip/{name}.gz": gzip.compress(content) for name, content in emnist_files().items()})
    monkeypatch.setattr(EMNIST, "url", f"{server.address}gzip.zip")
    monkeypatch.setattr(EMNIST, "md5", md5(letters))
    expect_svhn(svhn_file(), monkeypatch, f"{server.address}train_32x32.mat")
    server.files = {**packed, CIFAR10.filename: archive, "gzip.zip": letters, "train_32x32.mat": svhn_file()}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def tarred(files: dict[str, bytes], folder: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def check_mnist(data: PackedImages) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
    assert data.images.dtype == torch.uint8
    np.testing.assert_array_equal(data.images.numpy(), expected[:, None])
    assert data.labels is not None
    assert data.labels.tolist() == [k % 10 for k in range(TRAIN)]
    assert len(data.classes) == 10


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
    # Only the data and the lock are left: nothing half-way.
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


def check_emnist(data: PackedImages) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(data.images[:, 0].numpy(), stored.transpose(0, 2, 1))  # upright
    assert data.images.is_contiguous()
    assert data.labels is not None
    assert data.labels.tolist() == [k % 10 for k in range(TRAIN)]


def test_downloads_emnist(mirror: Mirror, tmp_path: Path) -> None:
    for _ in range(2):
        data = emnist(str(tmp_path), "balanced")
        check_emnist(data)
        assert len(data.classes) == 47 and data.classes[:2] == ("0", "1")
    assert mirror.downloads == ["gzip.zip"]
    with pytest.raises(UserError, match=r"dataset=emnist: the files in .* can't be used"):
        emnist(str(tmp_path), "digits")  # which the server's archive lacks


def test_emnists_letters_begin_with_a(tmp_path: Path) -> None:
    place(emnist_files("letters"), tmp_path / "EMNIST" / "raw")
    data = emnist(str(tmp_path), "letters")
    check_emnist(data)
    assert data.classes == tuple("abcdefghijklmnopqrstuvwxyz") and data.spec.num_classes == 26


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


def test_broken_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_svhn(svhn_file(), monkeypatch)
    place({"train_32x32.mat": svhn_file()[:-100]}, tmp_path / "svhn")
    with pytest.raises(UserError, match=f"dataset=svhn: the files in {tmp_path}/svhn can't be used"):
        svhn(str(tmp_path))


def test_celeba_needs_its_images_alone(tmp_path: Path) -> None:
    place(celeba_files(), tmp_path / "celeba" / "img_align_celeba")
    data = celeba(str(tmp_path), str(tmp_path / "cache"), size=32)
    assert data.images.shape == (TEST, 3, 32, 32) and data.labels is None
    np.testing.assert_allclose(data.images[:, 0, 16, 16].int(), [0, 10, 20, 30], atol=2)
    (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"000002\.jpg is no image .* dataset\.skip_broken=true"):
        celeba(str(tmp_path), str(tmp_path / "cache"), size=32)
    assert len(celeba(str(tmp_path), str(tmp_path / "cache"), size=32, skip_broken=True).images) == TEST - 1


def test_celeba_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("no way out")

    monkeypatch.setattr("torchvision.datasets.CelebA.download", unreachable)
    (tmp_path / "celeba").mkdir()  # without the images
    with pytest.raises(UserError) as caught:
        celeba(str(tmp_path), str(tmp_path / "cache"))
    assert str(caught.value).startswith("dataset=celeba: the download failed (no way out); ")
    assert f"by hand in {tmp_path}/celeba/img_align_celeba (" in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_two_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    start = threading.Barrier(2)

    def load() -> PackedImages:
        start.wait()
        return mnist(str(tmp_path))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(load), pool.submit(load)]:
            check_mnist(future.result())
    assert len(mirror.downloads) == 4


def test_files_placed_by_hand_need_no_network(tmp_path: Path) -> None:
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    check_mnist(mnist(str(tmp_path)))


def test_home_directory_in_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    monkeypatch.setenv("HOME", str(tmp_path))
    check_mnist(mnist("~"))


def refused_download(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        mnist(str(root))
    sentence = str(caught.value)
    assert sentence.startswith("dataset=mnist: the download failed (")
    assert "\n" not in sentence
    for remedy in (str(root / "MNIST/raw"), "by hand", "dataset.root=", "dataset=digits"):
        assert remedy in sentence
    # Nothing that a later run could take for the data.
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
    child = (
        "import json, sys\n"
        "from torchvision.datasets import MNIST\n"
        "from gan_exp.data.torchvision_sets import mnist\n"
        "MNIST.mirrors, MNIST.resources = json.loads(sys.argv[1])\n"
        "mnist(sys.argv[2])\n"
    )
    source = json.dumps([MNIST.mirrors, MNIST.resources])
    process = subprocess.Popen(
        [sys.executable, "-c", child, source, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with process:
        assert mirror.half_sent.wait(timeout=LONGEST_WAIT_S)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "MNIST").exists()

    mirror.held = ""
    check_mnist(mnist(str(tmp_path)))
    assert not (tmp_path / ".mnist.incomplete").exists()


@pytest.mark.parametrize("name", [name for name in mnist_files() if name.startswith("train")])
@pytest.mark.parametrize("length", [0, 6, -1])
def test_truncated_file_is_named(name: str, length: int, tmp_path: Path) -> None:
    files = mnist_files()
    place({**files, name: files[name][:length]}, tmp_path / "MNIST" / "raw")
    with pytest.raises(UserError, match=name) as caught:
        mnist(str(tmp_path))
    assert str(tmp_path / "MNIST/raw") in str(caught.value)
    assert "dataset=mnist" in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    files = mnist_files()
    del files["t10k-labels-idx1-ubyte"]
    place(files, tmp_path / "MNIST" / "raw")
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte is missing"):
        mnist(str(tmp_path))


def test_changed_cifar10_file_is_named_and_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cifar10_files()
    expect_cifar10(files, monkeypatch)
    proof = tmp_path / "proof"
    attack = b"cos\nmkdir\n(V" + os.fsencode(proof) + b"\ntR."  # a pickle that makes a directory where it is loaded
    place({**files, "data_batch_3": attack}, tmp_path / "cifar-10-batches-py")
    with pytest.raises(UserError, match="data_batch_3"):
        cifar10(str(tmp_path))
    assert not proof.exists()


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "below", Path("/proc/nothing")):
        with pytest.raises(UserError) as caught:
            mnist(str(root))
        assert str(caught.value).startswith(f"dataset.root={root}: can't write there (")


def test_held_out_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's test sets: from the same files, or SVHN's own."""
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    train, held_out = mnist(str(tmp_path)), mnist(str(tmp_path), part="held_out")
    assert (len(train.images), len(held_out.images)) == (TRAIN, TEST)
    assert held_out.spec == train.spec
    files = cifar10_files()
    place(files, tmp_path / "cifar-10-batches-py")
    expect_cifar10(files, monkeypatch)
    assert cifar10(str(tmp_path)).images.shape == (5 * TEST, 3, 32, 32)
    assert cifar10(str(tmp_path), part="held_out").images.shape == (TEST, 3, 32, 32)
    content = svhn_file()
    place({"test_32x32.mat": content}, tmp_path / "svhn_test")
    monkeypatch.setattr(SVHN, "split_list", {"test": ["", "test_32x32.mat", md5(content)]})
    assert svhn(str(tmp_path), part="held_out").images.shape == (TEST, 3, 32, 32)
