"""A server on this machine in the place of the data sets' servers."""

import gzip
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from torchvision.datasets import CIFAR10, EMNIST, KMNIST, MNIST, FashionMNIST

from fake_sets import (
    cifar10_files,
    emnist_files,
    expect_cifar10,
    expect_svhn,
    md5,
    mnist_files,
    svhn_file,
)


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
        """Nothing: the tests abort downloads on purpose."""


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


@contextmanager
def running_mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A server with all data sets that torchvision downloads over plain HTTP, at the addresses that it uses."""
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
