"""What is told of the folders that became parts and classes, or did not."""

from pathlib import Path

import pytest

from gan_exp.data.image_tree import ImageTree
from gan_exp.data.layout import layout_lines


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (["a.png", "b.png"], []),
        (["cat/a.png", "dog/a.png"], []),
        (["00000/a.png", "00000/b.png"], []),
        (
            ["cat/a.png", "dog/a.png", "dog/b.png", "c.png"],
            [
                "classes: none, since 1 image lies beside the 2 folders, and cat holds 1: move what is beside them "
                "elsewhere if the folders are classes"
            ],
        ),
        (
            ["images/cat/a.png", "images/dog/a.png"],
            [
                "classes: none, since one folder holds all images; with it as dataset.root=.../images, the folders in "
                "it would part them: cat, dog"
            ],
        ),
        (
            ["train/cat/a.png", "train/dog/a.png", "val/cat/a.png", "Test/dog/a.png", "c.png"],
            ["parts: trained on train 2; held out Test 1, val 1; left out is 1 image beside these folders"],
        ),
        (
            ["train/a.png", "test/a.png", "extra/a.png"],
            [
                "parts: none, since there are other folders too (extra): move them elsewhere, and train alone will be "
                "trained on"
            ],
        ),
    ],
)
def test_the_lines(files: list[str], lines: list[str]) -> None:
    assert layout_lines(ImageTree(Path(), files, skip_broken=False)) == lines
