"""Parts that several architectures share: the sizes of their stages, the embedding of labels, and what stays exact."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear
from torch.overrides import TorchFunctionMode


@runtime_checkable
class HasAuxiliaryLoss(Protocol):
    """A discriminator with a loss of its own on reals beside the logits, such as a reconstruction's."""

    auxiliary_name: str  # as the loss is reported: loss/NAME

    def score_with_auxiliary(
        self, images: Tensor, labels: Tensor | None, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The logits [N] of the images [N, C, H, W], and the loss [N] of each. Random numbers come from `draw`."""


EMBEDDING_DIM = 32  # of a label that is concatenated with the inputs
SMALLEST_SIDE = 8


def stage_sizes(model: str, height: int, width: int, *, above: int = SMALLEST_SIDE - 1) -> list[tuple[int, int]]:
    """The (height, width) of each stage of a convolutional `model`, from the smallest to the image's.

    The image is halved (rounding up) while its shorter side is above `above`, by default until it is below 8 pixels:
    64x64 has five sizes (4-8-16-32-64), 28x28 three (7-14-28), 8x8 two (4-8), 48x80 four (6x10-12x20-24x40-48x80).
    Raises ValueError for sides below 8 pixels, and for points.
    """
    if (height, width) == (1, 1):
        raise ValueError(f"{model} makes images, and the data are points of the plane: set model=points")
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"{model} can't make {height}x{width} images: each side must have at least {SMALLEST_SIDE} pixels "
            f"(dataset.resize={SMALLEST_SIDE}, or model=mlp, which has no limit)"
        )
    sizes = [(height, width)]
    while min(sizes[0]) > above:
        sizes.insert(0, ((sizes[0][0] + 1) // 2, (sizes[0][1] + 1) // 2))
    return sizes


def stage_widths(stages: int, width: int, max_width: int) -> list[int]:
    """Channels of each stage, coarsest first: `width` at the finest, doubled at each coarser one up to `max_width`."""
    return [min(width * 2**k, max_width) for k in range(stages)][::-1]


def takes_functions() -> bool:
    """Whether autograd itself differentiates this pass, with Functions that give derivatives of their own.

    torch.compile and torch.func take torch's operations instead; neither they nor a pass without gradients need more.
    """
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return torch.is_grad_enabled() and not traced


class LabelEmbedding(nn.Module):
    """Appends a learned vector of the label to the inputs [N, F] (Mirza and Osindero 2014, "Conditional GANs").

    With `num_classes` 0 it returns the inputs unchanged. `dim` is the number of features that it adds to F.
    """

    def __init__(self, num_classes: int, dim: int = EMBEDDING_DIM) -> None:
        super().__init__()
        self.dim = dim if num_classes else 0
        self.embed = nn.Embedding(num_classes, dim) if num_classes else None

    def forward(self, inputs: Tensor, labels: Tensor | None) -> Tensor:
        return inputs if self.embed is None else torch.cat([inputs, self.embed(labels)], dim=1)


_counted_for_gpu: ContextVar[bool] = ContextVar("_counted_for_gpu", default=False)


def on_gpu(tensor: Tensor) -> bool:
    """Whether layers compute it in the forms that are a GPU's: there, and where a step of a GPU is counted."""
    return tensor.is_cuda or _counted_for_gpu.get()


@contextmanager
def counted_for(kind: str) -> Iterator[None]:
    """Within it tensors stand for those of this kind of device, wherever they are."""
    before = _counted_for_gpu.set(kind == "cuda")
    try:
        yield
    finally:
        _counted_for_gpu.reset(before)


_on_meta: ContextVar[torch.dtype | None] = ContextVar("_on_meta", default=None)


def autocast_dtype(kind: str) -> torch.dtype | None:
    """In which type layers compute under autocast on this kind of device; None outside of autocast.

    torch's autocast doesn't know the meta device, on which the memory of a step is counted.
    """
    if kind == "meta":
        return _on_meta.get()
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


class _Converting(TorchFunctionMode):
    """What autocast does to the layers, on the meta device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        dtype = _on_meta.get()
        if dtype is not None and function in (linear, conv2d, conv_transpose2d):
            args = [a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args]
        return function(*args, **(kwargs or {}))


@contextmanager
def autocasting(kind: str, dtype: torch.dtype | None, cache: bool = True) -> Iterator[None]:
    """torch.autocast, also for the meta device; None turns it off. `cache`: converted weights are kept so long."""
    if kind != "meta":
        with torch.autocast(kind, dtype, enabled=dtype is not None, cache_enabled=cache):
            yield
        return
    before = _on_meta.set(dtype)
    try:
        with _Converting():
            yield
    finally:
        _on_meta.reset(before)


def in_full_precision(function: Callable[..., Tensor], inputs: Tensor, *others: Any) -> Tensor:
    """`function(inputs, *others)` in float32, also where the network computes in bfloat16 (`device.precision`).

    For logits, of which losses take small differences: bfloat16 numbers near 100 are half a unit apart.
    """
    kind = inputs.device.type
    if autocast_dtype(kind) is None:  # no context then, which a trace of the network would hold
        return function(inputs, *others)
    with autocasting(kind, None):
        return function(inputs.float(), *others)


def score(layers: nn.Sequential, inputs: Tensor) -> Tensor:
    """What `layers` return, the last of which makes the logits, in full precision."""
    return in_full_precision(layers[-1], layers[:-1](inputs))  # a slice keeps its class, and so `model.checkpointing`


def with_layout(network: nn.Module) -> nn.Module:
    """Channels last: convolutions are up to 1.4 times faster, and matrix products are unaffected.

    Every place that builds a network uses it, because another layout sums in another order and rounds differently.
    """
    return network.to(memory_format=torch.channels_last)
