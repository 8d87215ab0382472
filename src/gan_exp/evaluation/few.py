"""What few images can't tell, and what to read in its place; which scores of papers can be had."""

from collections.abc import Iterator
from contextlib import suppress

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.inception import weights_place
from gan_exp.runtime.words import plural

FEW = 500  # training images below which distances of Gaussians say less than the kernel distance
FEW_HELD_OUT = 100  # below which the column `data` is mostly chance


def notes(
    data: PackedImages, held_out: PackedImages | None, reals: PackedImages, extractor: FeatureExtractor
) -> Iterator[str]:
    """Lines for a person who reads the scores of images: few of them, or without labels."""
    if data.extent is not None:
        return
    name, count = extractor.name, len(reals.images)
    numbers = extractor.embed(reals.images[:1]).features.shape[1]
    if count <= numbers or count < FEW:
        than = f", fewer than the {numbers:,} features" if count <= numbers else ""
        yield (
            f"few images to compare with ({count:,}{than}): fid_{name} mostly tells their number; read kid_{name} and "
            f"coverage_{name}"
        )
    if held_out is not None and len(held_out.images) < FEW_HELD_OUT:
        yield (
            f"{plural(len(held_out.images), 'held-out image')}: the column `data` and the panel are mostly chance; "
            f"nearest_{name} beside nearest_held_out_{name} still tells whether training images are copied"
        )
    if name == "ssl":
        yield _of_papers()


def _of_papers() -> str:
    there = False
    with suppress(UserError):
        there = weights_place().is_file()
    cost = "its weights are on this machine" if there else "its weights, 91 MB, are downloaded once"
    return f"for the scores of papers add --features inception ({cost})"
