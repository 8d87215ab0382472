"""A metric as one entry: its scores with their meaning, its function, and what it needs.

This module and `entries` import no torch: `gan-exp evaluate --help` and the check of a configuration read the entries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gan_exp.metrics.inputs import MetricInputs, Reference


class Need(Enum):
    """What a metric needs beside features; the value is the rest of a sentence for a run that doesn't have it."""

    CLASS_PROBABILITIES = "needs a feature extractor that knows classes of whole images"
    DATA_CLASSES = "needs the classifier of --features cnn"
    MODES = "only ring, grid and stacked_mnist (with --features cnn) have modes to count"
    MIXTURE = "only ring and grid are drawn from a mixture"
    HELD_OUT = "needs images that were not trained on: train with dataset.held_out=0.1"
    PANEL = "needs images, compared in their usual features: leave --features away"
    CLASSIFIERS = "needs labels to train classifiers on"
    NO_LABELS = "needs images without labels: those with labels have classifiers"
    DISCRIMINATOR = "needs the discriminator: measure it with gan-exp evaluate"


@dataclass(frozen=True)
class Score:
    """One number of a metric.

    `better` is the direction in which a generator improves; None if there is none, as for a mean logit. Such a score
    can't select the best checkpoint.
    """

    name: str
    meaning: str  # in a few words, shown beside the number
    better: Literal["lower", "higher"] | None
    of_features: bool = True  # named for the feature space, as fid_cnn
    needs: tuple[Need, ...] = ()  # beside what the metric needs: without it, this score alone is missing
    detail: bool = False  # another score of the metric sums it up: left out of the line that training prints
    not_finite: str = "not finite"  # why there may be no finite number

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher", None):
            raise ValueError(f'{self.name}: better="{self.better}" must be "lower", "higher" or None')

    def tag(self, features: str) -> str:
        """What the score is called in the space of a feature extractor."""
        return f"{self.name}_{features}" if self.of_features else self.name


@dataclass(frozen=True)
class Metric:
    """What `--metrics` names.

    `measure` returns scores by their names (it may leave some out) and raises ValueError for samples that it can't
    measure. `data_scores` gives the data's own scores where they follow from the definition; otherwise real images are
    measured in the place of samples. `protocol` describes a measurement of so many samples and real images.
    """

    name: str
    scores: tuple[Score, ...]
    measure: "Callable[[MetricInputs], Mapping[str, float]]"
    needs: tuple[Need, ...] = ()
    least_reals: int = 1  # images to compare samples with
    data_scores: "Callable[[Reference], Mapping[str, float]] | None" = None
    protocol: Callable[[int, int], Mapping[str, int]] | None = None

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError(f"{self.name}: a metric has at least one score")

    @property
    def in_training(self) -> bool:
        """Whether evaluations during training measure it: they have samples and training images only."""
        return Need.HELD_OUT not in self.needs and Need.DISCRIMINATOR not in self.needs
