"""How a feature network learns from the data that samples are compared with: always the same on the same machine."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from gan_exp.data.packed import Batches, PackedImages, normalise, to_uint8
from gan_exp.evaluation.features.contrastive import Contrastive
from gan_exp.evaluation.features.extractor import prepare
from gan_exp.evaluation.features.networks import MLP, Autoencoder, AveragingClassifier, LeNet, Shrink, prepare_small
from gan_exp.ranges import ImageShape
from gan_exp.runtime.no_compiler import leave_compiler_out
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import stop_if_asked

Network = AveragingClassifier | LeNet | MLP | Autoencoder | Contrastive

RECIPE: dict[str, Any] = {"batch_size": 96, "lr": 5e-3, "weight_decay": 0.02, "label_smoothing": 0.05, "warm_up": 0.2}
# Without smoothing a classifier is sure of what it recognises, and leaves the probability 0.9 to doubtful images.
OTHERS = RECIPE | {"label_smoothing": 0.0}


@dataclass(frozen=True)
class Design:
    """A network and how it learns. `make` takes the images' shape and the number of classes."""

    name: str
    what: str
    make: Callable[[ImageShape, int], Network]
    images: int  # shown in training, whatever the size of the set
    seconds: int  # that training takes on two cores for images of 28x28
    seed: int = 0
    labels: bool = True  # whether it learns from them
    own_recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)  # what differs from that of the others

    @property
    def recipe(self) -> dict[str, Any]:
        return RECIPE if self.seed == 0 else OTHERS | {"seed": self.seed, **self.own_recipe}


CNN = Design("cnn", "a convolutional classifier with global averages", AveragingClassifier, 150_000, 120)
LENET = Design("lenet", "a convolutional classifier that keeps the layout", LeNet, 150_000, 40, seed=1)
DENSE = Design("mlp", "a classifier of dense layers", MLP, 300_000, 20, seed=2)
AUTOENCODER = Design("autoencoder", "an autoencoder that removes noise", Autoencoder, 300_000, 30, seed=3, labels=False)
SSL = Design(
    "ssl",
    "a network that learned which views are of the same image",
    Contrastive,
    80_000,
    60,
    seed=4,
    labels=False,
    own_recipe={"batch_size": 128, "lr": 3e-3},
)


def train(
    design: Design,
    data: PackedImages,
    device: torch.device,
    images: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Network:
    """The network after so many images of `data`, each shifted at random by up to a fourteenth; `progress` is told.

    Adam with decoupled weight decay, one cycle of the learning rate (Smith and Topin 2018, "Super-Convergence").
    """
    recipe, streams = design.recipe, Streams(design.seed)
    steps = math.ceil(images / recipe["batch_size"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.at(0, "weights").initial_seed())
        network = design.make(data.image_shape, data.spec.num_classes)
    as_floats = prepare
    if design is not CNN:  # which has always moved large images before it averages them down
        whole, data = data, shrunk(data, network.shrink)
        as_floats = prepare if data is whole else normalise
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    leave_compiler_out(torch.optim.AdamW)
    optimizer = torch.optim.AdamW(network.parameters(), recipe["lr"], weight_decay=recipe["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe["lr"], steps, pct_start=recipe["warm_up"])
    batches = Batches(data, recipe["batch_size"], "shuffled", seed=design.seed)
    for step in range(steps):
        stop_if_asked()
        batch = batches.draw(step)
        rng = partial(streams.at, step)
        optimizer.zero_grad()
        _loss(network, as_floats(batch.images.to(device)), batch.labels, rng, recipe["label_smoothing"]).backward()
        optimizer.step()
        schedule.step()
        progress((step + 1) * recipe["batch_size"])
    return network.eval().requires_grad_(False)


def _loss(
    network: Network, images: Tensor, labels: Tensor | None, rng: Callable[[str], torch.Generator], smoothing: float
) -> Tensor:
    if isinstance(network, Contrastive):
        return network.loss(images, rng("views"))
    images = shift(images, rng("shift"))
    if isinstance(network, Autoencoder):
        return network.loss(images, rng("noise"))
    assert labels is not None
    return cross_entropy(network(images).logits, labels.to(images.device), label_smoothing=smoothing)


def shrunk(data: PackedImages, shrink: Shrink, chunk: int = 1024) -> PackedImages:
    """The images as `prepare` and `shrink` leave them, once for all steps: moving large ones takes longer than
    learning.
    """
    if shrink(normalise(data.images[:1])).shape == data.images[:1].shape:
        return data
    parts = [to_uint8(prepare_small(part, shrink)) for part in data.images.split(chunk)]
    return replace(data, images=torch.cat(parts), channel_data=None, known_digest=None, fractions=None)


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images [N, C, H, W], each moved at random by up to a fourteenth of its side; the edge is repeated."""
    count, _, height, width = images.shape
    rows, columns = (
        torch.arange(side)[None] + torch.randint(2 * reach + 1, (count, 1), generator=generator)
        for side, reach in ((height, _reach(height)), (width, _reach(width)))
    )
    y, x = _reach(height), _reach(width)
    padded = pad(images, (x, x, y, y), mode="replicate").permute(0, 2, 3, 1)
    moved = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _reach(side: int) -> int:
    return round(side / 14)


@torch.no_grad()
def accuracy(network: Network, data: PackedImages, device: torch.device, chunk: int = 512) -> float:
    """The share of `data` that is classified as it is labelled."""
    assert data.labels is not None
    parts = (prepare_small(part.to(device), network.shrink) for part in data.images.split(chunk))
    found = [network(part).labels.cpu() for part in parts]
    return (torch.cat(found) == data.labels.cpu()).double().mean().item()
