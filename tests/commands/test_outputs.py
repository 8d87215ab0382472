from argparse import Namespace
from pathlib import Path

import pytest

from gan_exp.commands.outputs import find_output, write_output
from gan_exp.errors import UserError


def options(output: str, force: bool = False) -> Namespace:
    return Namespace(output=output, force=force)


def test_nothing_is_overwritten_unless_asked_to(in_tmp: Path) -> None:
    path = find_output(options("new/folder/some.PNG"), (".png", ".gif"))
    write_output(path, b"one", force=False)
    with pytest.raises(UserError, match=r"--output new/folder/some.PNG: exists; name another file, .* with --force"):
        find_output(options("new/folder/some.PNG"), (".png", ".gif"))
    with pytest.raises(UserError, match="exists"):  # it was made while the command worked
        write_output(path, b"two", force=False)
    assert path.read_bytes() == b"one"
    write_output(find_output(options("new/folder/some.PNG", force=True), (".png",)), b"two", force=True)
    assert path.read_bytes() == b"two" and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("some.jpg", "--output some.jpg: must end in .png or .gif"),
        ("some", "--output some: must end in .png or .gif"),
        ("file/below.png", "--output file/below.png: can't be written"),
        ("folder.png", "--output folder.png: exists"),
    ],
)
def test_refusals(name: str, sentence: str, in_tmp: Path) -> None:
    Path("file").touch()
    Path("folder.png").mkdir()
    with pytest.raises(UserError) as caught:
        write_output(find_output(options(name), (".png", ".gif")), b"", force=False)
    assert str(caught.value).startswith(sentence)


def test_a_folder_is_not_replaced_by_a_file(in_tmp: Path) -> None:
    Path("folder.png").mkdir()
    with pytest.raises(UserError, match="can't be written"):
        write_output(Path("folder.png"), b"", force=True)
    assert list(in_tmp.iterdir()) == [in_tmp / "folder.png"]
