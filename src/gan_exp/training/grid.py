"""The grid of samples: always of the same latents, so that two grids differ by the generator alone."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.data.packed import DataSpec, PackedImages, to_uint8
from gan_exp.display.images import image_grid, scatter_plot
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.runtime.randomness import Streams

SCATTER_POINTS = 2500  # as many as the published protocols draw for an evaluation


class Grid(NamedTuple):
    picture: Tensor  # uint8 [C, H, W]
    preview: Tensor  # uint8 [N, C, H, W], for a terminal


class SampleGrid:
    """`rows` times `columns` images, of points one plot; given `conditional`, a class to each row, then anew."""

    def __init__(
        self,
        spec: DataSpec,
        seed: int,
        latent_dim: int,
        rows: int,
        columns: int,
        conditional: bool,
        device: torch.device,
    ) -> None:
        self._extent, self._rows, self._columns = spec.extent, rows, columns
        self._streams = Streams(seed)
        self._chunk = at_once(*spec.image_shape[1:])
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
        return image_grid(images, self._rows, self._columns)
