"""The grid of samples: always of the same latents, so that two grids differ by the generator alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec, PackedImages, to_uint8
from gan_exp.display.images import image_grid, scatter_plot, to_pil
from gan_exp.display.row_names import with_row_names
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.runtime.randomness import Streams

USUAL_ROWS, MOST_ROWS = 5, 10
SCATTER_POINTS = 2500  # as many as the published protocols draw for an evaluation


def grid_rows(asked: int | None, spec: DataSpec, conditional: bool) -> int:
    """As many as are asked for; else in a conditional run one for each class, at most 10."""
    if asked is not None:
        return asked
    return min(spec.num_classes, MOST_ROWS) if conditional else USUAL_ROWS


def row_names(classes: Sequence[str], rows: int) -> list[str]:
    """The classes of the rows; none where they are unnamed, or their names are their numbers."""
    if not classes or list(classes) == [str(number) for number in range(len(classes))]:
        return []
    return [classes[row % len(classes)] for row in range(rows)]


class Grid(NamedTuple):
    picture: Tensor  # uint8 [C, H, W]
    preview: Tensor  # uint8 [N, C, H, W], for a terminal


class SampleGrid:
    """`rows` times `columns` images, of points one plot; given `conditional`, a class to each row, then anew.

    `names` are written beside the rows; none leaves the pictures as they are, with their transparency.
    """

    def __init__(
        self,
        spec: DataSpec,
        seed: int,
        latent_dim: int,
        rows: int,
        columns: int,
        conditional: bool,
        device: torch.device,
        names: Sequence[str] = (),
    ) -> None:
        self._extent, self._rows, self._columns = spec.extent, rows, columns
        self._names, self._streams = names, Streams(seed)
        self._chunk = at_once(spec.image_shape)
        count = SCATTER_POINTS if spec.extent is not None else rows * columns
        self._latents = self._streams.latents(0, "grid", count, latent_dim).to(device)
        self._device = device
        self._labels = None
        if conditional:
            self._labels = (torch.arange(count, device=device) // columns) % spec.num_classes

    def of_generator(self, generator: nn.Module) -> Tensor:
        """The images uint8 [N, C, H, W], or points, still on the device."""
        make = to_uint8 if self._extent is None else Tensor.detach
        return generate_all(generator, self._latents, self._labels, make, self._device, self._chunk)

    def drawn(self, images: Tensor) -> Grid:
        """The grid of what `of_generator` returned."""
        picture = self._picture(images)
        return Grid(picture, images if self._extent is None else picture.unsqueeze(0))

    def of_data(self, data: PackedImages) -> Tensor:
        """The picture [C, H, W] of as many real images, of the same classes."""
        rng = self._streams.at(0, "grid/real")
        return self._picture(data.examples(len(self._latents), rng, self._labels))

    def _picture(self, images: Tensor) -> Tensor:
        if self._extent is not None:
            return scatter_plot(images, self._extent)
        picture = image_grid(images, self._rows, self._columns)
        if not self._names or self._labels is None:
            return picture
        numbers = self._labels[:: self._columns].tolist()
        named = np.array(with_row_names(to_pil(picture), self._names, numbers))
        return torch.from_numpy(named if named.ndim == 3 else named[:, :, None]).permute(2, 0, 1)
