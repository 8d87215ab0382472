"""Images of a data set with known faults: which extractors of the panel see which? The table of docs/evaluation.md.

`python -m benchmarks.quality.faults --data FOLDER` measures MNIST's test images with faults against its training
images, with the networks that `gan-exp evaluate` uses.
"""

import argparse
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from benchmarks.tables import as_markdown
from gan_exp.data.packed import PackedImages
from gan_exp.data.torchvision_sets import mnist
from gan_exp.evaluation.features.choice import build_panel
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import PANEL
from gan_exp.metrics.panel import PanelReference, PanelScores

Fault = Callable[[PackedImages, torch.Generator], Tensor]


def specks(data: PackedImages, rng: torch.Generator, share: float = 0.01) -> Tensor:
    """One pixel in a hundred has any brightness."""
    images = data.images.clone()
    here = torch.rand(images.shape, generator=rng) < share
    images[here] = torch.randint(256, (int(here.sum()),), generator=rng, dtype=torch.uint8)
    return images


def blur(data: PackedImages, rng: torch.Generator) -> Tensor:
    """Halfway to the mean of 3x3 pixels."""
    images = data.images.float()
    return ((images + avg_pool2d(images, 3, 1, padding=1, count_include_pad=False)) / 2).round().byte()


def broken_strokes(data: PackedImages, rng: torch.Generator) -> Tensor:
    """A dark square, a seventh of the side, around some bright pixel of each image."""
    height, width = data.images.shape[2:]
    images = data.images.clone()
    weights = images.float().mean(dim=1).flatten(1) + 1e-6
    places = torch.multinomial(weights, 1, generator=rng)[:, 0]
    y, x = places // width, places % width
    reach_y, reach_x = max(1, round(height / 14)), max(1, round(width / 14))
    near_y = (torch.arange(height)[None] - y[:, None]).abs() < reach_y
    near_x = (torch.arange(width)[None] - x[:, None]).abs() < reach_x
    images[(near_y[:, None, :, None] & near_x[:, None, None, :]).expand_as(images)] = 0
    return images


def mixed_halves(data: PackedImages, rng: torch.Generator) -> Tensor:
    """The upper half of one image above the lower half of another: the same texture, and often no digit."""
    half = data.images.shape[2] // 2
    other = data.images[torch.randperm(len(data.images), generator=rng)]
    return torch.cat([data.images[:, :, :half], other[:, :, half:]], dim=2)


def missing_class(data: PackedImages, rng: torch.Generator) -> Tensor:
    """The last class is replaced by images of the others."""
    assert data.labels is not None
    kept = (data.labels != data.labels.max()).nonzero()[:, 0]
    again = kept[torch.randint(len(kept), (len(data.images) - len(kept),), generator=rng)]
    return data.images[torch.cat([kept, again])]


def copies(data: PackedImages, rng: torch.Generator, of: int = 20) -> Tensor:
    """A quarter are copies of twenty images."""
    order = torch.randperm(len(data.images), generator=rng)
    quarter = len(order) // 4
    order[:quarter] = order[-of:][torch.randint(of, (quarter,), generator=rng)]
    return data.images[order]


FAULTS: tuple[Fault, ...] = (specks, blur, broken_strokes, mixed_halves, missing_class, copies)


class FaultMatrix:
    """Scores of images with faults beside those of the same images without."""

    def __init__(self, panel: Iterable[FeatureExtractor], real: Tensor, own: PackedImages) -> None:
        self._panel, self._own = tuple(panel), own
        self._reference = PanelReference(self._embed(real), self._embed(own.images))

    def without(self) -> PanelScores:
        return self._reference.compare(self._embed(self._own.images))

    def measure(self, fault: Fault) -> PanelScores:
        return self._reference.compare(self._embed(fault(self._own, torch.Generator().manual_seed(0))))

    def _embed(self, images: Tensor) -> dict[str, Embedding]:
        return {member.name: member.embed(images) for member in self._panel}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the folder that holds MNIST/raw")
    folder = parser.parse_args().data
    train, test = mnist(folder), mnist(folder, "held_out")
    panel = build_panel((PANEL,), train, test, torch.device("cpu"))
    matrix = FaultMatrix(panel, train.images[:50_000], test)
    own = matrix.without()
    names = list(own.distances)
    rows = [["fault", "`panel`", "recognised", *(f"`{name}`" for name in names)]]
    rows.append(["none: the distance", "1", f"{own.recognised:.1%}", *(f"{own.distances[name]:.2g}" for name in names)])
    for fault in FAULTS:
        found = matrix.measure(fault)
        ratios = [f"{found.distances[name] / own.distances[name]:.3g}" for name in names]
        rows.append([fault.__name__.replace("_", " "), f"{found.worst:.3g}", f"{found.recognised:.1%}", *ratios])
        print(rows[-1], flush=True)
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
