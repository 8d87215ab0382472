"""Pictures with equal scores: which faults does each member of the panel forgive? For docs/evaluation.md.

`python -m benchmarks.quality.equal_scores --data FOLDER --samples SAMPLES.npy` takes MNIST's test images with known
faults, each just so strong that the member finds them as far from the training images as the samples that
`gan-exp sample RUN --count 2500 --output SAMPLES.npy` has drawn. Each row of the picture is one member's.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.quality.faults import broken_strokes, mixed_halves, specks
from benchmarks.tables import ROOT, as_markdown
from gan_exp.data.packed import PackedImages
from gan_exp.data.torchvision_sets import mnist
from gan_exp.display.images import encode_png, image_grid
from gan_exp.evaluation.evaluator import MOST_REALS, choose
from gan_exp.evaluation.features.choice import build_panel
from gan_exp.evaluation.features.extractor import FeatureExtractor
from gan_exp.evaluation.features.kept import embed_real
from gan_exp.metrics.entries import PANEL
from gan_exp.metrics.panel import PanelReference, recognised

ROUNDS = 7  # of halving the range of a fault's strength
SHOWN = 8  # images of each kind
GAP = 6  # pixels between kinds

Apply = Callable[[PackedImages, float, torch.Generator], Tensor]


@dataclass(frozen=True)
class TunableFault:
    """`apply` makes images with the fault, stronger with its second argument: 0 to `most`, in `unit`."""

    name: str
    apply: Apply
    most: float
    unit: str


def _specks(data: PackedImages, share: float, rng: torch.Generator) -> Tensor:
    return specks(data, rng, share)


def _blur(data: PackedImages, sigma: float, rng: torch.Generator) -> Tensor:
    """Convolved with a Gaussian."""
    reach = 8
    line = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * max(sigma, 1e-3) ** 2))
    line = (line / line.sum())[None, None, :]
    images = data.images.float()
    rows = torch.nn.functional.conv2d(images, line[:, :, None, :], padding=(0, reach))
    return torch.nn.functional.conv2d(rows, line[..., None], padding=(reach, 0)).round().clamp(0, 255).byte()


def _breaks(data: PackedImages, count: float, rng: torch.Generator) -> Tensor:
    """So many dark squares on the strokes of each image; of a fraction, on that share of the images."""
    images = data.images
    for already in range(math.ceil(count)):
        more = broken_strokes(PackedImages(images), rng)
        here = torch.rand(len(images), generator=rng) < count - already
        images = torch.where(here[:, None, None, None], more, images)
    return images


def _mixed(data: PackedImages, share: float, rng: torch.Generator) -> Tensor:
    """Upper halves above lower halves of other images, in that share of the images."""
    mixed = mixed_halves(data, rng)
    return torch.where((torch.rand(len(mixed), generator=rng) < share)[:, None, None, None], mixed, data.images)


FAULTS = (
    TunableFault("specks", _specks, 0.5, "of the pixels"),
    TunableFault("blur", _blur, 4.0, "pixels wide"),
    TunableFault("broken strokes", _breaks, 12.0, "breaks"),
    TunableFault("mixed halves", _mixed, 1.0, "of the images"),
)


class Panel:
    """The panel over real images; `own` are those that faults are put on."""

    def __init__(self, members: Sequence[FeatureExtractor], real: Tensor, own: PackedImages) -> None:
        self.members, self.own = {member.name: member for member in members}, own
        self._references = {
            name: PanelReference({name: embed_real(member, real)}, {name: embed_real(member, own.images)})
            for name, member in self.members.items()
        }
        self._distances = {name: self._distance(name, own.images) for name in self.members}

    def _distance(self, member: str, images: Tensor) -> float:
        found = self._references[member].compare({member: self.members[member].embed(images)})
        return found.distances[member]

    def ratio(self, member: str, images: Tensor) -> float:
        """The distance of the member's last layer, relative to that of the images without fault."""
        return self._distance(member, images) / self._distances[member]

    def ratios(self, images: Tensor) -> tuple[dict[str, float], float | None]:
        """Those of all members, and the share of images that all classifiers recognise."""
        embeddings = {name: member.embed(images) for name, member in self.members.items()}
        found = {
            name: self._references[name].compare({name: embedding}).distances[name] / self._distances[name]
            for name, embedding in embeddings.items()
        }
        return found, recognised(embeddings)

    def tune(self, member: str, fault: TunableFault, ratio: float) -> float:
        """How strong the fault must be for this ratio; its largest strength where even that is too little."""
        low, high = 0.0, fault.most
        if self.ratio(member, self.with_fault(fault, high)) < ratio:
            return high
        for _ in range(ROUNDS):
            middle = (low + high) / 2
            too_much = self.ratio(member, self.with_fault(fault, middle)) > ratio
            low, high = (low, middle) if too_much else (middle, high)
        return (low + high) / 2

    def with_fault(self, fault: TunableFault, strength: float) -> Tensor:
        return fault.apply(self.own, strength, torch.Generator().manual_seed(0))


def picture(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """uint8 [C, height, width]: the first images of each kind in two lines, the kinds of a row side by side."""
    lines = []
    for row in rows:
        kinds = [image_grid(images[:SHOWN], 2, SHOWN // 2) for images in row]
        space = kinds[0].new_full((kinds[0].shape[0], kinds[0].shape[1], GAP), 255)
        lines.append(torch.cat([part for kind in kinds for part in (kind, space)][:-1], dim=2))
    space = lines[0].new_full((lines[0].shape[0], GAP, lines[0].shape[2]), 255)
    return torch.cat([part for line in lines for part in (line, space)][:-1], dim=1)


def compare(panel: Panel, members: Sequence[str], samples: Tensor) -> tuple[list[list[str]], Tensor]:
    """The table and the picture: the samples, then for each member all faults at its score of the samples."""
    target, sure = panel.ratios(samples)
    header = ["tuned for", "images", *(f"`{name}`" for name in panel.members), "recognised"]
    rows = [header, _row("", "the samples", target, sure)]
    shown = []
    for member in members:
        kinds = [samples]
        for fault in FAULTS:
            strength = panel.tune(member, fault, target[member])
            kinds.append(panel.with_fault(fault, strength))
            rows.append(_row(f"`{member}`", f"{fault.name}, {strength:.2g} {fault.unit}", *panel.ratios(kinds[-1])))
            print(rows[-1], flush=True)
        shown.append(kinds)
    return rows, picture(shown)


def _row(member: str, images: str, ratios: Mapping[str, float], sure: float | None) -> list[str]:
    return [member, images, *(f"{ratio:.3g}" for ratio in ratios.values()), "" if sure is None else f"{sure:.0%}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--samples", required=True, type=Path, help="of `gan-exp sample`, as .npy")
    parser.add_argument("--members", default="cnn,lenet,mlp,autoencoder", help="a row of the picture for each")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/equal-scores.png")
    options = parser.parse_args()
    samples = torch.from_numpy(np.load(options.samples)).permute(0, 3, 1, 2).contiguous()
    train, test = mnist(options.data), mnist(options.data, "held_out")
    members = build_panel((PANEL,), train, test, torch.device("cpu"))
    own = test.select(torch.arange(min(len(samples), len(test.images))))
    rows, image = compare(
        Panel(members, train.images[choose(len(train.images), MOST_REALS)], own), options.members.split(","), samples
    )
    options.picture.write_bytes(encode_png(image))
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
