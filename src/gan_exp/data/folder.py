"""A folder of the user's images as a data set, mapped into memory."""

from pathlib import Path

import torch

from gan_exp.data.brightness import scale_from_limits
from gan_exp.data.common_format import Channels, Options
from gan_exp.data.decode import Fit
from gan_exp.data.packed import PackedImages, Part
from gan_exp.data.packed_file import open_arrays
from gan_exp.data.packing import packed_folder
from gan_exp.ranges import Byte, PositiveFloat, PositiveInt


def folder(
    root: str,
    cache: str,
    size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None,
    fit: Fit = "crop",
    channels: Channels = "auto",
    skip_broken: bool = False,
    max_megapixels: PositiveFloat = 64.0,
    range: tuple[float, float] | None = None,
    background: tuple[Byte, Byte, Byte] = (0, 0, 0),
    labels: str | None = None,
    part: Part = "train",
) -> PackedImages | None:
    """All images below `root`, or in that zip file, as [N, channels, height, width]; of animated ones the first frame.

    - `size` is a side or [height, width]. None keeps the images' own size, which must be the same for all.
    - `fit` handles other aspect ratios: crop cuts out the middle, pad adds bars (transparent ones where there is
      transparency), stretch distorts.
    - `channels` auto is 4 where any pixel is transparent, 1 where all are gray, else 3, whatever the files' modes.
    - `background` (red, green, blue) is behind transparency that is removed, and the colour of the bars.
    - `max_megapixels`: larger images are refused before they are decoded.
    - `range` gives the values that become black and white. None is 0 and 255 for images of up to 8 bits; for deeper
      ones it is one range that suits all of them (`brightness.choose_scale`).

    - `labels` is a file with the images' classes: a CSV with the columns file and label, or StyleGAN's dataset.json.
      None is labels.csv or dataset.json in `root`, if there is one.

    Without it, or with labels=folders, folders directly below `root` that hold images are classes, if there are
    several. Folders called train and test, val or validation part the data: then their folders are the classes, and
    `part` chooses which images are given. The held-out part is None where there are no such folders. Hidden files and
    folders are ignored. Raises UserError if there are no images, or broken ones and `skip_broken` is false.
    """
    red, green, blue = background  # a list, from YAML
    scale = None if range is None else scale_from_limits(range)
    options = Options(size, fit, channels, scale, (red, green, blue), skip_broken, max_megapixels, labels)
    packed = packed_folder(root, cache, options, part)
    return None if packed is None else _open(packed)


def _open(directory: Path) -> PackedImages:
    found = open_arrays(directory)
    labels = None if found.labels is None else torch.from_numpy(found.labels)
    fractions = None if found.fractions is None else torch.from_numpy(found.fractions)
    images = torch.from_numpy(found.images)
    return PackedImages(images, labels, found.classes, reading=found.reading, fractions=fractions, names=found.names)
