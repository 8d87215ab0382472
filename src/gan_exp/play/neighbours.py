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
    yardstick, features = training.yardstick(), training.extractor.name
    labels, names = training.data.labels, training.data.classes

    def find(image: Tensor) -> Neighbour:
        nearest = training.nearest(image[None])
        index, relative = int(nearest.indices[0, 0]), training.relative(nearest).item()
        label = None if labels is None else int(labels[index])
        of_class = "" if label is None else f" (class {names[label] if names else label})"
        nearer = (yardstick.relative < relative).double().mean().item()
        which, real = f"{training.called([index])[0]}{of_class}", yardstick.of.partition(",")[0]
        return Neighbour(
            training.data.images[index].cpu(),
            f"Training image {which}, at a distance of {nearest.distances.item():.3g} (features {features}): "
            f"{relative:.2f} times that image's distance to the nearest other one. A copy has much less than 1; "
            f"{nearer:.0%} of the {real} have less.",
        )

    return find
