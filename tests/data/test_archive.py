"""A zip file as the folder of images."""

import re
import stat
import struct
import zipfile
from pathlib import Path

import pytest

import gan_exp.data.archive as module
from gan_exp.data.cache import packed_sets, remove
from gan_exp.data.folder import folder
from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from image_folders import draw, pixels


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two classes within one folder, and what else archives hold."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for number, name in enumerate(("photos/ant/a.png", "photos/bee/b.png", "photos/bee/c.png")):
            out.write(draw(tmp_path / "source.png", number), name)
        for name in ("photos/notes.txt", "photos/ant/.hidden.png", "__MACOSX/photos/ant/._a.png"):
            out.writestr(name, "something else")
        link = zipfile.ZipInfo("photos/ant/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(link, "/etc/passwd")
    return tmp_path / "a.zip"


def load(archive: Path) -> PackedImages:
    data = folder(str(archive), str(archive.parent / "cache"), size=None)
    assert data is not None
    return data


def refused(archive: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(archive)
    assert "\n" not in str(caught.value)
    left = [path.name for path in archive.parent.glob("cache/*") if path.suffix != ".lock"]
    assert left == [] and not (archive.parent / "evil.png").exists()
    return str(caught.value)


def test_it_is_the_folder(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load(archive)
    assert data.classes == ("ant", "bee") and pixels(data) == [[0], [1], [2]]
    told = capsys.readouterr().out
    place = archive.parent / "cache/zip-"
    assert (
        re.match(r"unpacked: 3 files of a.zip \(\d+ bytes, without 3 .png, 1 .txt\) to ", told) and str(place) in told
    )
    (unpacked,) = (path for path in archive.parent.glob("cache/zip-*") if path.is_dir())
    assert {path.name for path in unpacked.rglob("*.*")} == {"a.png", "b.png", "c.png"}


def test_it_is_unpacked_once(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever it lies; unpacked again it is the same, so that the packed images are used again."""
    digest = load(archive).digest
    archive = archive.rename(archive.with_name("b.zip"))
    capsys.readouterr()
    assert load(archive).digest == digest and capsys.readouterr().out == ""
    before = {one.path.name for one in packed_sets(archive.parent / "cache")}
    for one in packed_sets(archive.parent / "cache"):
        if one.path.name.startswith("zip-"):
            remove(one)
    assert load(archive).digest == digest
    assert {one.path.name for one in packed_sets(archive.parent / "cache")} == before


def test_labels_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for number in range(2):
            out.write(draw(tmp_path / "source.png", number), f"00000/img{number}.png")
        out.writestr("dataset.json", '{"labels": [["00000/img0.png", 1], ["00000/img1.png", 0]]}')
    data = load(tmp_path / "a.zip")
    assert data.classes == ("0", "1") and data.labels is not None and data.labels.tolist() == [1, 0]


def test_a_broken_image_is_named_with_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("a.png", b"no image")
    with pytest.raises(UserError, match=r"dataset\.root=.*a\.zip: a\.png can't be read as an image"):
        load(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_paths_that_leave_it(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.write(draw(tmp_path / "source.png"), "good.png")
        out.writestr(name, b"evil")
    sentence = refused(tmp_path / "a.zip")
    assert "evil.png' would be written outside of its folder; remove it from the archive" in sentence


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.png", bytes(1_000_000))
    monkeypatch.setattr(module, "ALWAYS_BYTES", 10_000)
    assert " KB would become 1.0 MB, which images don't do; unpack it yourself" in refused(tmp_path / "a.zip")
    monkeypatch.setattr(module, "MOST_TIMES", 1e6)
    monkeypatch.setattr(module, "SPARE_BYTES", 1e18)
    sentence = refused(tmp_path / "a.zip")
    assert "unpacked it has 1.0 MB, 1,000,000,000 GB should stay free, and" in sentence
    assert "left; make room, or name a cache on another disk" in sentence


def test_a_cache_that_cannot_be_written(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"can't be unpacked to .*file \(.*\); name a cache on another disk with dataset"
    ):
        folder(str(archive), str(tmp_path / "file"), size=None)


def test_an_entry_that_lies_about_its_size(tmp_path: Path) -> None:
    """Not more is written than the table states."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.png", bytes(1_000_000))
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 100)))
    assert "can't be unpacked (Bad CRC-32 for file 'a.png'); pack it anew, as a plain zip" in refused(
        tmp_path / "a.zip"
    )


def test_damaged_and_empty_archives(archive: Path) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert "a.zip: can't be unpacked (File is not a zip file); pack it anew" in refused(archive)
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("notes.txt", "nothing")
    sentence = refused(archive)
    assert "a.zip: no images there (looked for .png" in sentence and sentence.endswith("; it has 1 .txt)")
