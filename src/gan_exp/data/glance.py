"""A quick look at a folder of images: how many there are and how large, without decoding any."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gan_exp.data.archive import unpacked
from gan_exp.data.decode import read_header
from gan_exp.data.finding import find_names
from gan_exp.data.image_file import BrokenImage
from gan_exp.data.image_tree import ImageTree
from gan_exp.data.labels_file import find_labels
from gan_exp.errors import UserError

MOST_HEADERS = 500  # of so many images the headers are read, evenly over the folder: a fraction of a second


class Glance(NamedTuple):
    """`sizes` are the (height, width) of some of the images, upright; none of those can be read where it is empty."""

    images: int  # to train on
    sizes: Sequence[tuple[int, int]]
    parted: bool  # by folders called train and test or val
    letters: bool = False  # the classes are called 0, 1, ... or a, b, ...


def glance_at(root: Path, cache: Path, max_megapixels: float, labels_file: str | None = None) -> Glance:
    """Of the images below `root`, or in that zip file, which is unpacked into `cache`; the arguments are `folder`'s.

    Raises UserError if there are none or the file with the labels can't be read, or OSError.
    """
    place = unpacked(root, cache) if root.is_file() and root.suffix.lower() == ".zip" else root
    names = find_names(place)
    if not names:
        raise UserError(f"dataset.root={root}: no images there")
    _, labels = find_labels(place, names, labels_file) or (None, None)
    tree = ImageTree(place, names, skip_broken=True, labels=labels, named=root)
    part = tree.part("train")
    assert part is not None
    classes = set(part.classes())
    files = [name for name in part.files if part.class_of(name) in classes] if classes else part.files
    some = files[:: -(-len(files) // MOST_HEADERS)]
    sizes = [size for name in some if (size := _size(os.path.join(place, name), max_megapixels))]  # noqa: PTH118
    named = labels is None or labels.are_names
    letters = named and len(classes) > 1 and all(len(name) == 1 and name.isalnum() for name in classes)
    return Glance(len(files), sizes, part is not tree, letters)


def _size(path: str, max_megapixels: float) -> tuple[int, int] | None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")  # about odd metadata
        try:
            header = read_header(Path(path), max_megapixels)
        except BrokenImage:
            return None
    return header.height, header.width
