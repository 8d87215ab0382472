"""Compares a few samples with a few training images; it costs as much as a step or two.

All distances are Euclidean between averaged-down pixels (points: coordinates), and are given relative to those within
the data, so that one threshold serves every data set.
"""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from gan_exp.data.packed import PackedImages, normalise
from gan_exp.metrics.pairwise import squared_distances
from gan_exp.models.sampling import at_once
from gan_exp.runtime.randomness import Streams

SIDE = 16  # pixels: larger images are averaged down to it
MOST_REFERENCES = 2048  # training images that samples are compared with
CLOSE = 0.01  # quantile of the data's distances to their nearest neighbours, up to which two images are close
# Samples that cover a mode well may lie along a curve, a few of them closer than any two of the data.
CLOSE_OF_POINTS = 0.1  # of that distance
LEAST_OF_A_CLASS = 4  # images on average, for a mean image of each class
FAINT = 1e-3  # amplitude that nobody sees, in images from -1 to 1
FEW = 16  # samples of fewer numbers are points, not images


class SampleEvidence:
    """Compares samples with `count` images of the data, their counterparts, and with up to 2,048 references.

    `labels` int64 [count] are those of the counterparts, None without labels; a conditional G should be given them, so
    that its samples have the data's proportions. `previous` holds the samples of the last comparison, for a checkpoint.
    """

    def __init__(self, data: PackedImages, count: int, conditional: bool = False) -> None:
        order = torch.randperm(len(data.images), generator=Streams(0).at(0, "doctor"))[:MOST_REFERENCES]
        order = order.to(data.images.device)
        chunk = at_once(data.image_shape)
        references = torch.cat([features(normalise(data.images[some])) for some in order.split(chunk)])  # [R, F]
        self._center = references.double().mean(dim=0)
        self._references = references - self._center
        self._classes = None if data.labels is None else data.labels[order].cpu()
        counterparts = torch.arange(count) % len(order)
        self.labels = None if self._classes is None else self._classes[counterparts]
        self.previous: Tensor | None = None
        real = self._references[counterparts]
        self._image_classes = torch.zeros(count, dtype=torch.int64)
        if conditional and self.labels is not None and len(self.labels.unique()) <= count / LEAST_OF_A_CLASS:
            self._image_classes = self.labels
        self._texture = octaves(normalise(data.images[order[counterparts.to(order.device)]]), self._image_classes)
        nearest, places = _distances(real, self._references, counterparts).min(dim=1)
        nearest[nearest.isinf()] = 0.0  # a data set of one image
        self._spread = _spread(_distances(real, real, torch.arange(count)))
        self._distance = nearest.median().item()
        self._close = nearest.quantile(CLOSE).item() * (CLOSE_OF_POINTS if real.shape[1] < FEW else 1.0)
        self._variety = len(places.unique())
        self._class_count = None if self._classes is None else _effective_number(self._classes[places])

    def compare(self, samples: Tensor) -> dict[str, float]:
        """Measures by tag of samples [N, C, H, W] in [-1, 1] (points: as they are), always of the same latents:

        samples/spread      their mean distance from one another, 1 as the data's own; near 0 they are all alike
        samples/distance    how much farther a sample is from its nearest reference than an image of the data is
                            (medians), in mean distances within the data; 0 as the data, below 0 copies
        samples/variety     how many references are nearest to one of them, 1 as of the data
        samples/classes     effective number of classes by the nearest reference (exp of the entropy), 1 as the data's
        samples/duplicates  share of them with another sample nearer than all but 1 % of the data are to theirs (points:
                            ten times nearer); absent where the data has fewer images than there are samples
        samples/texture     by how many octaves structure of one size, beyond the mean image (of a class, if G is given
                            labels), is stronger or weaker than the data's, at the size where it is most: 0 as the
                            data, 1 twice or half; absent of points
        samples/copies      share of them that lie half as far from a reference as the data's median (of the data itself
                            next to none of images, a fifth of points)
        samples/change      mean distance from the previous samples of the same latents; absent at the first time
        """
        now = features(samples)
        points = now - self._center
        nearest, places = _distances(points, self._references).min(dim=1)
        among = _distances(points, points, torch.arange(len(points)))
        found = {
            "spread": _spread(among) / self._spread,
            "distance": (nearest.median().item() - self._distance) / self._spread,
            "variety": len(places.unique()) / self._variety,
            "copies": (nearest < self._distance / 2).float().mean().item(),
        }
        if len(self._references) >= len(samples):
            found["duplicates"] = (among.min(dim=1).values < self._close).float().mean().item()
        if self._classes is not None and self._class_count is not None:
            found["classes"] = _effective_number(self._classes[places]) / self._class_count
        if len(self._texture):
            found["texture"] = (octaves(samples, self._image_classes) / self._texture).log2().abs().max().item()
        if self.previous is not None and self.previous.shape == now.shape:
            found["change"] = (now - self.previous).norm(dim=1).mean().item() / self._spread
        self.previous = now
        return {f"samples/{name}": value for name, value in found.items()}


def features(images: Tensor) -> Tensor:
    """Images [N, C, H, W] as float32 [N, C * h * w] on the CPU, h and w at most 16."""
    size = (min(SIDE, images.shape[2]), min(SIDE, images.shape[3]))
    small = images if size == tuple(images.shape[2:]) else adaptive_avg_pool2d(images, size)
    return small.flatten(1).cpu()


def octaves(images: Tensor, classes: Tensor) -> Tensor:
    """Amplitudes of structure of one to two pixels, two to four, and so on, beyond the mean image of each class.

    For images [N, C, H, W] and their `classes` [N], numbers from 0; float64. Averaging to half the size removes just
    this structure. No amplitude is 0, so that one can divide by it.
    """
    rest = images.cpu().to(torch.float64, copy=True)  # not every device has such numbers
    counts = classes.bincount()
    means = rest.new_zeros(len(counts), *rest.shape[1:]).index_add_(0, classes, rest)
    means /= counts.clamp_min(1).view(-1, 1, 1, 1)
    rest -= means if len(means) == 1 else means[classes]
    power = []
    while min(rest.shape[2:]) >= 4:
        height, width = (2 * (side // 2) for side in rest.shape[2:])
        half = avg_pool2d(rest, 2)
        power.append(rest[..., :height, :width].square().mean() - half.square().mean())
        rest = half
    return torch.stack(power).clamp_min(FAINT**2).sqrt() if power else torch.empty(0, dtype=torch.float64)


def _distances(some: Tensor, others: Tensor, own: Tensor | None = None) -> Tensor:
    """[N, M] in float64, of features less the references' mean; infinite at `own`, the column of the row itself."""
    return squared_distances(some, others, own).sqrt()


def _spread(among: Tensor) -> float:
    """The mean of the distances [N, N] that are finite; never 0, so that one can divide by it."""
    apart = among[among.isfinite()]
    return max(apart.sum().item() / max(len(apart), 1), 1e-6)


def _effective_number(labels: Tensor) -> float:
    """The number of equally frequent classes that would have the same entropy."""
    shares = torch.bincount(labels).double() / len(labels)
    return float(torch.special.entr(shares).sum().exp())
