"""A small convolutional classifier, trained on the labelled data that samples are compared with."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from gan_exp.data.packed import Batches, PackedImages, normalise
from gan_exp.metrics.inputs import Embedding
from gan_exp.ranges import ImageShape
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import stop_if_asked

LARGEST_SIDE = 32  # of the shorter side; larger images are averaged down, or training would take hours on a CPU
SMALLEST_SIDE = 8
IMAGES = 150_000  # shown in training, whatever the size of the set: 2.5 epochs of MNIST
RECIPE: dict[str, Any] = {"batch_size": 96, "lr": 5e-3, "weight_decay": 0.02, "label_smoothing": 0.05, "warm_up": 0.2}


class Classifier(nn.Module):
    """3x3 convolutions with BatchNorm and ReLU, halved until the shorter side is below eight pixels, then averaged.

    Takes floats in [-1, 1], [N, C, H, W]; the features are the averages [N, D], D up to 128, and the logits [N, K].
    """

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.shrink = max(1, math.ceil(min(height, width) / LARGEST_SIDE))
        side = math.ceil(min(height, width) / self.shrink)
        layers: list[nn.Module] = _convolution(channels, 16)
        inputs, outputs = 16, 64
        while side >= SMALLEST_SIDE or outputs == 64:
            if side >= SMALLEST_SIDE:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            layers += [*_convolution(inputs, outputs // 2), *_convolution(outputs // 2, outputs)]
            inputs, outputs = outputs, 128
            side = math.ceil(side / 2)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: Tensor) -> Embedding:
        if self.shrink > 1:
            images = avg_pool2d(images, self.shrink, ceil_mode=True)
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        return Embedding(features, self.head(features))


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def train_classifier(data: PackedImages, device: torch.device, images: int = IMAGES) -> Classifier:
    """Trained on images of `data` shifted at random by up to a fourteenth; always the same on the same machine.

    Adam with decoupled weight decay, one cycle of the learning rate (Smith and Topin 2018, "Super-Convergence").
    """
    steps = math.ceil(images / RECIPE["batch_size"])
    streams = Streams(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(streams.at(0, "weights").initial_seed())
        network = Classifier(data.image_shape, data.spec.num_classes)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), RECIPE["lr"], weight_decay=RECIPE["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], steps, pct_start=RECIPE["warm_up"])
    batches = Batches(data, RECIPE["batch_size"], "shuffled", seed=0)
    for step in range(steps):
        stop_if_asked()
        batch = batches.draw(step)
        assert batch.labels is not None
        shifted = shift(normalise(batch.images.to(device)), streams.at(step, "shift"))
        logits = network(shifted).logits
        loss = cross_entropy(logits, batch.labels.to(device), label_smoothing=RECIPE["label_smoothing"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


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
def accuracy(network: Classifier, data: PackedImages, device: torch.device, chunk: int = 512) -> float:
    """The share of `data` that is classified as it is labelled."""
    assert data.labels is not None
    found = [network(normalise(part.to(device))).labels.cpu() for part in data.images.split(chunk)]
    return (torch.cat(found) == data.labels.cpu()).double().mean().item()
