"""R3GAN's training step on one core: gan-exp's layers, the same networks with torch's own, and single convolutions.

    python -m benchmarks.speed.r3gan_cpu [--quick]

Times are those of the thread on its core, so that other processes disturb them less; old and new take turns in one
process. A step is one update of D with exact R1 + R2 and one of G (RpGAN); networks are in channels last.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pad, softplus

from benchmarks.speed.gpu.peers import resampled
from gan_exp.models.parts import with_layout
from gan_exp.models.r3gan import LEAK, R3GANDiscriminator, R3GANGenerator, _Block, _Resample
from gan_exp.runtime.device import _keep_freed_memory

# image side, width, max_width, batch; all with one block per size
STEPS = [(28, 16, 64, 32), (32, 32, 64, 16), (64, 16, 64, 16), (64, 32, 64, 16), (128, 8, 64, 16), (128, 16, 64, 16)]
CONVOLUTIONS = [(64, 16, 32), (128, 16, 16), (256, 16, 8), (256, 16, 4), (128, 8, 7)]  # channels, per group, side
MERGED = (1, 2, 4)  # groups in one block-diagonal one
Network = Callable[[Tensor], Tensor]


def plain(stages: nn.Sequential, features: Tensor) -> Tensor:
    """The same layers, as torch has them."""
    for layer in stages:
        match layer:
            case _Block():
                first, bias_1, second, bias_2, last = layer.layers
                inner = leaky_relu(conv2d(features, first.weight) + bias_1.bias.view(1, -1, 1, 1), LEAK)
                inner = conv2d(inner, second.weight, padding=1, groups=second.groups)
                features = features + conv2d(leaky_relu(inner + bias_2.bias.view(1, -1, 1, 1), LEAK), last.weight)
            case _Resample():
                changed = layer.up and isinstance(layer.channels, nn.Conv2d)
                if changed:
                    features = conv2d(features, layer.channels.weight)
                if not layer.up:
                    features = pad(features, (0, features.shape[3] % 2, 0, features.shape[2] % 2))
                features = resampled(features, layer.up)[:, :, : layer.size[0], : layer.size[1]]
                if not layer.up and isinstance(layer.channels, nn.Conv2d):
                    features = conv2d(features, layer.channels.weight)
            case nn.Conv2d():
                features = conv2d(features, layer.weight, groups=layer.groups)
    return features


class Steps:
    def __init__(self, side: int, width: int, max_width: int, batch: int, bf16: bool, fast: bool) -> None:
        torch.manual_seed(0)
        group_size = min(16, width)
        model: dict[str, Any] = {"width": width, "max_width": max_width, "blocks": 1, "group_size": group_size}
        self.generator = with_layout(R3GANGenerator(64, (3, side, side), **model))
        self.discriminator = with_layout(R3GANDiscriminator((3, side, side), **model))
        self.latents, self.reals = torch.randn(batch, 64), torch.rand(batch, 3, side, side) * 2 - 1
        self.bf16, self.fast = bf16, fast

    def computing(self) -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext()

    def generate(self) -> Tensor:
        network = self.generator
        with self.computing():
            if self.fast:
                return network(self.latents).float()
            return plain(network.stages, network.basis * network.project(self.latents)[:, :, None, None]).float()

    def score(self, images: Tensor) -> Tensor:
        network = self.discriminator
        with self.computing():
            return (network(images) if self.fast else network.head(plain(network.stages, images).flatten(1))).float()

    def step(self) -> None:
        with torch.no_grad():
            fakes = self.generate()
        images = [x.detach().requires_grad_() for x in (self.reals, fakes)]
        logits = [self.score(x) for x in images]
        squares = [
            torch.autograd.grad(scored.sum(), x, create_graph=True)[0].square().sum()
            for x, scored in zip(images, logits, strict=True)
        ]
        (softplus(logits[1] - logits[0]).mean() + 0.05 * (squares[0] + squares[1])).backward()
        self.discriminator.requires_grad_(False)
        softplus(-self.score(self.generate())).mean().backward()
        self.discriminator.requires_grad_(True)
        for network in (self.generator, self.discriminator):
            network.zero_grad(set_to_none=True)


def milliseconds(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Medians over `rounds`, in which all take turns, after one that doesn't count."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.thread_time()
            run()
            if number:
                found[name].append(1e3 * (time.thread_time() - start))
    return {name: median(times) for name, times in found.items()}


def convolutions(channels: int, narrow: int, side: int, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Forward, input gradient and weight gradient of 16 images, with groups merged into block-diagonal ones."""
    runs: dict[str, Callable[[], Any]] = {}
    for merged in MERGED:
        for layout in (torch.channels_last, torch.contiguous_format):
            weight = torch.randn(channels, narrow * merged, 3, 3).to(dtype).contiguous(memory_format=layout)
            images = torch.randn(16, channels, side, side).to(dtype).contiguous(memory_format=layout)
            groups = channels // narrow // merged

            def run(x: Tensor = images, w: Tensor = weight, groups: int = groups) -> None:
                conv2d(x, w, padding=1, groups=groups)
                shape = [1, 1], [1, 1], [1, 1], False, [0, 0], groups
                torch.ops.aten.convolution_backward(x, x, w, None, *shape, [True, True, False])

            runs[f"{'last' if layout == torch.channels_last else 'first'} x{merged}"] = run
    return milliseconds(runs, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a round of the smallest step and convolution")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    rounds = 1 if quick else 7
    for side, width, max_width, batch in STEPS[:1] if quick else STEPS:
        for bf16 in (False, True):
            ways = {"torch's layers": False, "gan-exp's": True}
            if bf16 and side > 32:  # torch's own doubling takes seconds in bfloat16
                del ways["torch's layers"]
            runs = {way: Steps(side, width, max_width, batch, bf16, fast).step for way, fast in ways.items()}
            times = ", ".join(f"{way} {time:.0f} ms" for way, time in milliseconds(runs, rounds).items())
            precision = "bf16" if bf16 else "float32"
            print(f"{side}x{side}, width {width} to {max_width}, batch {batch}, {precision}: {times}")
    for channels, narrow, side in CONVOLUTIONS[-1:] if quick else CONVOLUTIONS:
        for dtype in (torch.float32, torch.bfloat16):
            found = convolutions(channels, narrow, side, dtype, rounds)
            times = ", ".join(f"{name} {time:.2f}" for name, time in found.items())
            print(f"{channels} channels in groups of {narrow}, {side}x{side}, {str(dtype)[6:]}, ms: {times}")


if __name__ == "__main__":
    main()
