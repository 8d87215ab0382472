"""The training image nearest to a generated one, and a sentence that says whether that is near."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gan_exp.generators.neighbours import TrainingImages
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runtime.terminal import say


class Neighbour(NamedTuple):
    image: Tensor  # uint8 [C, H, W]
    sentence: str  # its distance, and those of real images


def load_neighbours(generator: TrainedGenerator) -> Callable[[Tensor], Neighbour]:
    """Loads the data set, and trains the features' network if this is its first use. Raises UserError without data."""
    training = TrainingImages.of(generator, say=say)
    yardstick = training.yardstick()
    median, features = yardstick.distances.median().item(), training.extractor.name
    labels, names = training.data.labels, training.data.classes

    def find(image: Tensor) -> Neighbour:
        nearest = training.nearest(image[None])
        index, distance = int(nearest.indices.flatten()[0]), float(nearest.distances.flatten()[0])
        label = None if labels is None else int(labels[index])
        of_class = "" if label is None else f" (class {names[label] if names else label})"
        nearer = (yardstick.distances < distance).double().mean().item()
        return Neighbour(
            training.data.images[index].cpu(),
            f"Training image {index:,}{of_class}, at a distance of {distance:.3g} (features {features}). "
            f"For comparison, {yardstick.of}: {nearer:.0%} are nearer, and the median is {median:.3g}.",
        )

    return find
