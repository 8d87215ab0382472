"""torchvision's data sets from files that are there: their content, and damaged files."""

import os
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import SVHN

from fake_sets import (
    TEST,
    TRAIN,
    celeba_files,
    check_emnist,
    check_mnist,
    cifar10_files,
    emnist_files,
    expect_cifar10,
    expect_svhn,
    md5,
    mnist_files,
    place,
    svhn_file,
)
from gan_exp.data.torchvision_sets import celeba, cifar10, emnist, mnist, svhn
from gan_exp.errors import UserError


def test_emnists_letters_begin_with_a(tmp_path: Path) -> None:
    place(emnist_files("letters"), tmp_path / "EMNIST" / "raw")
    data = emnist(str(tmp_path), "letters")
    check_emnist(data)
    assert data.classes == tuple("abcdefghijklmnopqrstuvwxyz") and data.spec.num_classes == 26


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
    with pytest.raises(UserError, match=r"000002\.jpg can't be read as an image .* dataset\.skip_broken=true"):
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


def test_files_placed_by_hand_need_no_network(tmp_path: Path) -> None:
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    check_mnist(mnist(str(tmp_path)))


def test_home_directory_in_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(mnist_files(), tmp_path / "MNIST" / "raw")
    monkeypatch.setenv("HOME", str(tmp_path))
    check_mnist(mnist("~"))


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
