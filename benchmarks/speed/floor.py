"""The least time of the article's step: its matrix products and its Adam updates alone, at the same shapes.

The practical floor is the sum of both. Two more figures give the machine's best rates: the rate of large matrix
products, which is as near as the library comes to the peak of the multipliers, and the bandwidth of a triad.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch

from benchmarks.speed.worker import Serve
from gan_exp.config.schema import DeviceConfig
from gan_exp.runtime.device import prepare_device

GENERATOR = (100, 256, 512, 1024, 784)
DISCRIMINATOR = (784, 512, 256, 1)
ADAM_BYTES = 28  # a parameter: weight, gradient and two moments read, all but the gradient written, 4 bytes each
LARGE = 2048  # the side of large matrices: no overhead is seen any more, and a chunk is still short
TRIAD_LENGTH = 1 << 24  # 64 MiB each, more than any cache here


class Product(NamedTuple):
    """One matrix product of a layer W [n, k] at a batch of m."""

    kind: str  # forward: x W^T + b; inputs: dy W; weights: dy^T x
    batch: int
    inputs: int
    outputs: int

    @property
    def flop(self) -> int:
        return 2 * self.batch * self.inputs * self.outputs


def products(batch: int) -> list[Product]:
    """All matrix products of one iteration of the article, in their order: 37."""

    def network(widths: tuple[int, ...], kind: str) -> list[Product]:
        return [Product(kind, batch, inputs, outputs) for inputs, outputs in pairwise(widths)]

    def backward(widths: tuple[int, ...], inputs: bool, weights: bool) -> list[Product]:
        """`inputs`: as far as the first layer's."""
        both = zip(network(widths, "weights"), network(widths, "inputs"), strict=True)
        kept = [
            [to_weights] * weights + [to_inputs] * (inputs or number > 0)
            for number, (to_weights, to_inputs) in enumerate(both)
        ]
        return [product for layer in reversed(kept) for product in layer]

    discriminator_update = network(DISCRIMINATOR, "forward") + backward(DISCRIMINATOR, inputs=False, weights=True)
    return [
        *network(GENERATOR, "forward"),
        *discriminator_update,
        *discriminator_update,
        *network(GENERATOR, "forward"),
        *network(DISCRIMINATOR, "forward"),
        *backward(DISCRIMINATOR, inputs=True, weights=False),
        *backward(GENERATOR, inputs=False, weights=True),
    ]


def parameter_counts() -> tuple[int, int]:
    """Of the discriminator and the generator, including BatchNorm's gains and shifts."""
    count = lambda widths: sum(inputs * outputs + outputs for inputs, outputs in pairwise(widths))  # noqa: E731
    return count(DISCRIMINATOR), count(GENERATOR) + 2 * sum(GENERATOR[1:-1])


def adam_bytes() -> int:
    """Of one iteration: two updates of D, one of G."""
    discriminator, generator = parameter_counts()
    return ADAM_BYTES * (2 * discriminator + generator)


def matrix_products(serve: Serve, threads: int, batch_size: int = 32) -> None:
    _prepare(threads)
    listed = products(batch_size)
    weights = {shape: torch.randn(shape) * 0.02 for shape in {(p.outputs, p.inputs) for p in listed}}
    calls = [_call(product, weights[product.outputs, product.inputs]) for product in listed]

    def run(count: int) -> None:
        for _ in range(count):
            for call in calls:
                call()

    serve(run)


def _call(product: Product, weight: torch.Tensor) -> Callable[[], object]:
    """The product as autograd asks for it, into memory that is already allocated."""
    kind, batch, inputs, outputs = product
    x, dy = torch.randn(batch, inputs), torch.randn(batch, outputs)
    if kind == "forward":
        bias, y = torch.zeros(outputs), torch.empty(batch, outputs)
        return lambda: torch.addmm(bias, x, weight.t(), out=y)
    if kind == "inputs":
        dx = torch.empty(batch, inputs)
        return lambda: torch.mm(dy, weight, out=dx)
    dw = torch.empty(outputs, inputs)
    return lambda: torch.mm(dy.t(), x, out=dw)


def adam(serve: Serve, threads: int) -> None:
    """torch's fused Adam on one buffer a network."""
    _prepare(threads)
    optimizers = []
    for count in parameter_counts():
        buffer = torch.randn(count).requires_grad_()
        buffer.grad = torch.randn(count)
        optimizers.append(torch.optim.Adam([buffer], lr=2e-4, betas=(0.5, 0.999), fused=True))
    discriminator, generator = optimizers

    def run(count: int) -> None:
        for _ in range(count):
            discriminator.step()
            discriminator.step()
            generator.step()

    serve(run)


def large_products(serve: Serve, threads: int) -> None:
    _prepare(threads)
    a, b, out = (torch.randn(LARGE, LARGE) for _ in range(3))

    def run(count: int) -> None:
        for _ in range(count):
            torch.mm(a, b, out=out)

    serve(run)


def triad(serve: Serve, threads: int) -> None:
    """a = b + 3 c (McCalpin's STREAM)."""
    _prepare(threads)
    a, b, c = (torch.randn(TRIAD_LENGTH) for _ in range(3))

    def run(count: int) -> None:
        for _ in range(count):
            torch.add(b, c, alpha=3.0, out=a)

    serve(run)


def _prepare(threads: int) -> None:
    prepare_device(DeviceConfig(name="cpu", index=0, threads=threads, deterministic=False))
