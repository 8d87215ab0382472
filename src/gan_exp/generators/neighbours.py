"""The training images that are nearest to samples, and how near those of other images are: is anything memorised?"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gan_exp.data.packed import PackedImages
from gan_exp.errors import UserError
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import choose
from gan_exp.evaluation.features.choice import build_features, usual_features
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.kept import embed_real
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.metrics.entries import MOST_NEIGHBOURS
from gan_exp.metrics.neighbours import Nearest, find_several
from gan_exp.runtime.room import in_float64
from gan_exp.training.build import build_data, build_held_out


class Yardstick(NamedTuple):
    """Real images that the generator has not copied, if it has copied any."""

    distances: Tensor  # float64 [M], to their nearest training images
    relative: Tensor  # the same in the unit of `TrainingImages.relative`
    of: str  # which images they are


class TrainingImages:
    """The images that a generator was trained on, in the features of an extractor."""

    def __init__(
        self,
        data: PackedImages,
        held_out: PackedImages | None,
        extractor: FeatureExtractor,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.data, self.extractor = data, extractor
        self._held_out = held_out
        self._embed = Division(say=say).embed  # which tells how far features are
        self._features = embed_real(extractor, data.images, self._embed).features

    @classmethod
    def of(
        cls, generator: TrainedGenerator, features: str | None = None, say: Callable[[str], None] = print
    ) -> "TrainingImages":
        """Loads the data of the generator's run. `features` are one of `FEATURES`; None: the usual ones.

        `say` is told of a feature extractor that is trained first, and how far features are that take long. Raises
        UserError where the data is not there, or has changed since.
        """
        data, held_out = build_data(generator.config, generator.device), build_held_out(generator.config)
        if generator.data_digest not in (None, data.digest):
            raise UserError(
                f"{generator.config.dataset['name']}: the data has changed since the run began; restore the data that "
                "it was trained on"
            )
        name = features or usual_features(data)
        return cls(data, held_out, build_features(name, data, held_out, generator.device, say), say)

    def nearest(self, images: Tensor, count: int = 1) -> Nearest:
        """The `count` training images nearest to each of `images` uint8 [N, C, H, W], the nearest first: [N, count]."""
        return self._several(self._embed(self.extractor, images).features, min(count, len(self._features)))

    def called(self, indices: Sequence[int]) -> list[str]:
        """These images for people: by their files' names where they are known, else by their numbers."""
        names = None if self.data.names is None else self.data.names.of(indices)
        return names or [f"{index:,}" for index in indices]

    def _several(self, features: Tensor, count: int, own: Tensor | None = None) -> Nearest:
        """`find_several` among the training images, on the extractor's device."""

        def find(device: torch.device) -> Nearest:
            itself = None if own is None else own.to(device)
            return find_several(features.to(device), self._features.to(device), count, own=itself).cpu()

        return in_float64(self.extractor.device, find)

    def relative(self, nearest: Nearest, own: Tensor | None = None) -> Tensor:
        """[N]: distances to the first neighbours, in the unit of how far those are from the other training images.

        Simple images, such as strokes, lie near each other whether they are copied or not; a copy lies nearer to its
        original than that to anything else (Alaa et al. 2022, "How Faithful is your Synthetic Data?"). `own` as in
        `find_several`.
        """
        first, distances = nearest.indices[:, 0], nearest.distances[:, 0]
        others = self._several(self._features[first], 2, own=first)
        to_others = others.distances[:, 0]
        if own is not None:
            to_others = torch.where(others.indices[:, 0] == own, others.distances[:, 1], to_others)
        return torch.where(distances == 0, distances, distances / to_others)

    def yardstick(self) -> Yardstick:
        """How near other real images are: held-out ones, or where nothing was held out the training images themselves.

        Images of a generator that learned the distribution are as near.
        """
        if self._held_out is not None:
            images = self._held_out.images
            some = images[choose(len(images), MOST_NEIGHBOURS).to(images.device)]
            nearest = self._several(embed_real(self.extractor, some, self._embed).features, 1)
            return Yardstick(nearest.distances[:, 0], self.relative(nearest), "held-out images")
        own = choose(len(self._features), MOST_NEIGHBOURS)
        nearest = self._several(self._features[own], 1, own=own)
        return Yardstick(nearest.distances[:, 0], self.relative(nearest, own), "training images, each to the others")
