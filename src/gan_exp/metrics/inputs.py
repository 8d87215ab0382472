"""What a metric is given: samples and their features, and what is known of the data."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.neighbours import Nearest
from gan_exp.metrics.panel import PanelReference

CPU = torch.device("cpu")
Made = TypeVar("Made")


class DiscriminatorLogits(NamedTuple):
    """The discriminator's logits [N] on each kind of image; None if there are none."""

    train: Tensor
    held_out: Tensor | None
    fake: Tensor | None


class Reference:
    """The data that samples are compared with.

    `features` [N, D] of real images; `class_counts` int64 [K], where they have labels; `mixture` the centres [K, D] and
    the standard deviation that points were drawn from; `held_out_distances` [M] of held-out images to their nearest
    training images, where a metric needs held-out images; `panel` the data in the features of several extractors.
    """

    def __init__(
        self,
        features: Tensor,
        class_counts: Tensor | None = None,
        mixture: tuple[Tensor, float] | None = None,
        held_out_distances: Tensor | None = None,
        panel: PanelReference | None = None,
    ) -> None:
        self.features, self.class_counts, self.mixture = features, class_counts, mixture
        self.held_out_distances, self.panel = held_out_distances, panel
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns, computed at the first call with this `key` and kept for all samples."""
        if key not in self._made:
            self._made[key] = make()
        return cast(Made, self._made[key])


@dataclass(frozen=True)
class MetricInputs:
    """One set of samples, and the data to compare it with.

    `nearest` are the training images nearest to the first samples, where a metric needs held-out images.
    `discriminator` is None but for metrics that need it; so is `panel`, embeddings of the samples by the extractors'
    names. All tensors are on the CPU; `device` is where long sums over them are computed faster, in float64 too.
    """

    samples: Tensor  # uint8 [N, C, H, W]; points: float32 [N, 2, 1, 1]
    embedding: Embedding
    seed: int
    reference: Reference
    nearest: Nearest | None = None
    discriminator: DiscriminatorLogits | None = None
    panel: Mapping[str, Embedding] | None = None
    device: torch.device = CPU
