"""A data set as one packed array, and batches drawn from it as functions of (seed, number)."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, ParamSpec

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gan_exp.data.file_names import FileNames
from gan_exp.data.packed_file import fraction_of
from gan_exp.data.rows import rows_of
from gan_exp.ranges import ImageShape
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.transfer import Ahead, ahead_on, send

Arguments = ParamSpec("Arguments")
Sampling = Literal["with_replacement", "shuffled"]
Part = Literal["train", "held_out"]  # of a data set that has two parts; the held-out part is for evaluation only


class Batch(NamedTuple):
    """Images uint8 [N, C, H, W] and their labels int64 [N], None if the data has none."""

    images: Tensor
    labels: Tensor | None


class DataSpec(NamedTuple):
    """The properties of a data set that networks, grids and samples depend on."""

    image_shape: ImageShape
    num_classes: int = 0  # 0: no labels
    extent: float | None = None  # for points: half the width of a plot that holds them; None for images


class Mixture(NamedTuple):
    """Gaussians of equal weight: their centres [K, D] and their common standard deviation."""

    centers: Tensor
    sigma: float


@dataclass(frozen=True)
class PackedImages:
    """A whole data set: images uint8 [N, C, H, W], labels int64 [N] or None, the names of the classes.

    Points of the plane are float32 [N, 2, 1, 1] with the `extent` of their plot; they are not normalised. Evaluations
    use `mixture`, the distribution of points, and `channel_data`, the data set whose images are the channels. `reading`
    tells what was read of the user's files (`reading.reading_lines`), and `fractions` [N] are the images' hashes where
    they are known (`packed_file.fraction_of`), `names` those of the user's files. Raises ValueError for other dtypes
    and shapes.
    """

    images: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    extent: float | None = None
    mixture: Mixture | None = field(default=None, compare=False)
    channel_data: "PackedImages | None" = field(default=None, compare=False)
    known_digest: str | None = field(default=None, compare=False)
    reading: Mapping[str, Any] | None = field(default=None, compare=False)
    fractions: Tensor | None = field(default=None, compare=False)
    names: FileNames | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        wanted = torch.uint8 if self.extent is None else torch.float32
        if self.images.dtype != wanted or self.images.ndim != 4 or len(self.images) == 0:
            raise ValueError(
                f"a data set must be a non-empty {wanted} tensor [N, C, H, W], "
                f"not {self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels is not None and self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"{len(self.images)} images with labels of shape {list(self.labels.shape)}")

    @property
    def image_shape(self) -> ImageShape:
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def spec(self) -> DataSpec:
        num_classes = len(self.classes) or (0 if self.labels is None else int(self.labels.max()) + 1)
        return DataSpec(self.image_shape, 0 if self.labels is None else num_classes, self.extent)

    @property
    def digest(self) -> str:
        """A hash of all images and labels. The first call takes about a second per gigabyte."""
        if self.known_digest is None:
            digest = hashlib.blake2b(repr((self.images.dtype, list(self.images.shape))).encode(), digest_size=16)
            for part in self.images.split(4096):
                digest.update(part.cpu().contiguous().numpy().data)
            if self.labels is not None:
                digest.update(self.labels.cpu().contiguous().numpy().data)
            object.__setattr__(self, "known_digest", digest.hexdigest())  # a cache, which frozen would not allow
        assert self.known_digest is not None
        return self.known_digest

    def to(self, device: torch.device) -> "PackedImages":
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels, known_digest=self.digest)

    def resized(self, height: int, width: int, chunk: int = 4096) -> "PackedImages":
        """Bilinear with antialiasing, `chunk` images at a time to limit the memory for floats."""
        if (height, width) == tuple(self.images.shape[2:]):
            return self
        parts = [
            interpolate(part.float(), (height, width), mode="bilinear", antialias=True).round().clamp(0, 255).byte()
            for part in self.images.split(chunk)
        ]
        channel_data = None if self.channel_data is None else self.channel_data.resized(height, width, chunk)
        return replace(self, images=torch.cat(parts), channel_data=channel_data, known_digest=None, fractions=None)

    def split_by_hash(self, share: float) -> tuple["PackedImages", "PackedImages"]:
        """The images to train on, and about `share` of all to hold out. Raises ValueError if one side is empty.

        An image's hash decides on which side it is: copies stay together, and adding images moves no other.
        """
        held_out = self._fractions() < share
        if held_out.all() or not held_out.any():
            raise ValueError(f"{share:g} of {len(held_out)} images leaves nothing on one side")
        return self._rows(~held_out), self._rows(held_out)

    def _fractions(self) -> Tensor:
        if self.fractions is not None:
            return self.fractions
        parts = (part.cpu().contiguous().numpy() for part in self.images.split(4096))
        return torch.tensor([fraction_of(image.data) for part in parts for image in part], dtype=torch.float64)

    def _rows(self, mask: Tensor) -> "PackedImages":
        """Of these images, which are not copied: a packed file stays where it is."""
        return self._selected(rows_of(self.images, mask), mask)

    def select(self, which: Tensor) -> "PackedImages":
        """The images and labels that `which`, indices or a mask, selects."""
        return self._selected(self.images[which], which)

    def _selected(self, images: Tensor, which: Tensor) -> "PackedImages":
        labels = None if self.labels is None else self.labels[which]
        names = None if self.names is None else self.names.select(which)
        return replace(self, images=images, labels=labels, known_digest=None, fractions=None, names=names)

    def examples(self, count: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """`count` images on the CPU, of the classes `labels` [count] if given; repeated only if too few."""
        order = torch.randperm(len(self.images), generator=generator)
        indices = order[torch.arange(count) % len(order)]
        if labels is not None and self.labels is not None:
            classes, wanted = self.labels.cpu()[order], labels.cpu()
            for label in wanted.unique():
                of_class, here = order[classes == label], wanted == label
                if len(of_class):
                    indices[here] = of_class[torch.arange(int(here.sum())) % len(of_class)]
        return self.images[indices.to(self.images.device)].cpu()


def one_sided(dataset: Callable[Arguments, PackedImages]) -> Callable[Arguments, PackedImages]:
    """Marks a data set whose images mean something else, or nothing, when they are mirrored: digits and letters."""
    vars(dataset)["one_sided"] = True
    return dataset


def normalise(images: Tensor) -> Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1]; points (float32) as they are."""
    if images.dtype == torch.float32:
        return images
    return images.float().mul_(1 / 127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] to uint8 in [0, 255], rounded: the inverse of `normalise`."""
    return images.add(1).mul(127.5).round().clamp(0, 255).byte()


class Batches:
    """The batches of a run; batch k is a function of (seed, k) alone.

    Indices are drawn on the CPU, since the data may lie on either device, depending on the free memory.
    `with_replacement` draws each image independently; `shuffled` cuts an endless sequence of shuffled epochs into
    batches of equal size, so that a batch may hold the end of one epoch and the beginning of the next.

    With `mirror` each image is mirrored left to right with probability 1/2, whatever becomes of it in other batches.
    """

    def __init__(
        self, data: PackedImages, batch_size: int, sampling: Sampling, seed: int, mirror: bool = False
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.mirror = mirror
        self._streams = Streams(seed)
        device = data.images.device
        self._independent = Ahead(self._draw_indices, device, ahead_on(device))
        self._mirrored = Ahead(self._draw_mirrored, device, ahead_on(device))
        self._indices = self._shuffled if sampling == "shuffled" else self._with_replacement
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def draw(self, number: int, rows: slice = slice(None)) -> Batch:
        """These rows of the batch."""
        indices = self._indices(number)[rows]
        labels, images = self.data.labels, self.data.images[indices]
        if self.mirror:
            mirrored = self._mirrored(number)[rows, None, None, None]
            images = torch.where(mirrored, images.flip(3), images)
        return Batch(images, None if labels is None else labels[indices])

    def _with_replacement(self, number: int) -> Tensor:
        return self._independent(number)

    def _draw_indices(self, number: int) -> Tensor:
        return torch.randint(len(self.data.images), (self.batch_size,), generator=self._streams.at(number, "batch"))

    def _draw_mirrored(self, number: int) -> Tensor:
        return torch.rand(self.batch_size, generator=self._streams.at(number, "mirror")) < 0.5

    def _shuffled(self, number: int) -> Tensor:
        count = len(self.data.images)
        epoch, offset = divmod(number * self.batch_size, count)
        parts = [self._epoch(epoch)[offset : offset + self.batch_size]]
        while (missing := self.batch_size - sum(map(len, parts))) > 0:
            epoch += 1
            parts.append(self._epoch(epoch)[:missing])
        return torch.cat(parts)

    def _draw_epoch(self, epoch: int) -> Tensor:
        count = len(self.data.images)
        return send(torch.randperm(count, generator=self._streams.at(epoch, "epoch")), self.data.images.device)
