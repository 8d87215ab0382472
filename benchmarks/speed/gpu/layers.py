"""R3GAN's layers in forms whose second derivatives are as fast as their first.

torch differentiates a grouped convolution twice group by group, and a depthwise one channel by channel. But a
convolution is linear in its input and in its weight, so each of its derivatives is again a convolution with all groups
at once; and resampling by a fixed filter is a product with a small matrix, as are the convolutions of 4x4 images.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

LEAK = 0.2
_weights_learn = True


@contextmanager
def input_gradients_only() -> Iterator[None]:
    """Leave weight gradients out: autograd asks a Function for all of them, whichever `torch.autograd.grad` wants."""
    global _weights_learn
    _weights_learn = False
    try:
        yield
    finally:
        _weights_learn = True


class Convolution(torch.autograd.Function):
    """conv2d(inputs, weight) with stride 1 and an odd kernel, padded to the same size."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.groups = groups
        return conv2d(inputs, weight, padding=weight.shape[2] // 2, groups=groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        at_inputs = at_weight = None
        if ctx.needs_input_grad[0]:
            at_inputs = InputGradient.apply(gradient, weight, ctx.groups)
        if ctx.needs_input_grad[1] and _weights_learn:
            at_weight = WeightGradient.apply(gradient, inputs, weight, ctx.groups)
        return at_inputs, at_weight, None


class InputGradient(torch.autograd.Function):
    """The backward pass of `Convolution`; its derivative with respect to `gradient` is a `Convolution` again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.groups = groups
        return conv_transpose2d(gradient, weight, padding=weight.shape[2] // 2, groups=groups)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        gradient, weight = ctx.saved_tensors
        at_gradient = at_weight = None
        if ctx.needs_input_grad[0]:
            at_gradient = Convolution.apply(change, weight, ctx.groups)
        if ctx.needs_input_grad[1] and _weights_learn:
            at_weight = WeightGradient.apply(gradient, change, weight, ctx.groups)
        return at_gradient, at_weight, None


class WeightGradient(torch.autograd.Function):
    """Of `Convolution`; `weight` gives the shape."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, inputs: Tensor, weight: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(gradient, inputs)
        ctx.groups = groups
        padding = [weight.shape[2] // 2] * 2
        found: list[Tensor] = torch.ops.aten.convolution_backward(
            gradient,
            inputs,
            weight.detach(),
            None,
            [1, 1],
            padding,
            [1, 1],
            False,
            [0, 0],
            groups,
            [False, True, False],
        )
        return found[1]

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        gradient, inputs = ctx.saved_tensors
        at_gradient = at_inputs = None
        if ctx.needs_input_grad[0]:
            at_gradient = Convolution.apply(inputs, change, ctx.groups)
        if ctx.needs_input_grad[1]:
            at_inputs = InputGradient.apply(gradient, change, ctx.groups)
        return at_gradient, at_inputs, None, None


def small_convolution(features: Tensor, weight: Tensor) -> Tensor:
    """A grouped 3x3 convolution of images of a few pixels, as one matrix product for each group.

    cuDNN computes such a float32 convolution group by group when it lies channels last.
    """
    count, channels, height, width = features.shape
    outputs, narrow = weight.shape[:2]
    groups, pixels = channels // narrow, height * width
    shifts = _shifts(height, width, features.device, features.dtype)
    operator = weight.reshape(groups, outputs // groups, narrow, 9) @ shifts  # [groups, out, in, pixel in, pixel out]
    operator = operator.view(groups, outputs // groups, narrow, pixels, pixels).permute(0, 2, 3, 1, 4)
    rows = features.reshape(count, groups, narrow * pixels).transpose(0, 1)
    results = torch.bmm(rows, operator.reshape(groups, narrow * pixels, -1))
    return results.transpose(0, 1).reshape(count, outputs, height, width)


@cache
def _shifts(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[9, pixels * pixels]: for each tap of a 3x3 kernel, which pixel it brings to which."""
    found = torch.zeros(3, 3, height, width, height, width)
    for row in range(height):
        for column in range(width):
            for down in range(3):
                for right in range(3):
                    y, x = row + down - 1, column + right - 1
                    if 0 <= y < height and 0 <= x < width:
                        found[down, right, y, x, row, column] = 1
    return found.view(9, -1).to(device, dtype)


def resample(features: Tensor, up: bool) -> Tensor:
    """Doubled or halved by the filter [1, 3, 3, 1] in both directions, as two matrix products; sides must be even."""
    count, channels, height, width = features.shape
    rows, columns = (_filter(size, up, features.device, features.dtype) for size in (height, width))
    if not features.is_contiguous(memory_format=torch.channels_last):
        return rows @ (features @ columns.T)
    pixels = rows @ features.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    pixels = columns @ pixels.view(count * len(rows), width, channels)
    return pixels.view(count, len(rows), len(columns), channels).permute(0, 3, 1, 2)


@cache
def _filter(size: int, up: bool, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[2 size, size] doubles a line of pixels, [size / 2, size] halves it."""
    small = size if up else size // 2
    matrix = torch.zeros(2 * small + 2, small)
    for k in range(small):
        matrix[2 * k : 2 * k + 4, k] = torch.tensor([1.0, 3.0, 3.0, 1.0])
    matrix = matrix[1:-1] / 4
    return (matrix if up else matrix.T.contiguous() / 2).to(device, dtype)


def activate(features: Tensor, bias: Tensor) -> Tensor:
    """Add the bias, then a leaky ReLU where it lies: only its output is kept for the backward pass."""
    return leaky_relu(features + bias.view(1, -1, 1, 1), LEAK, inplace=True)


class FusedActivation(torch.autograd.Function):
    """`activate` for features that lie channels last: one kernel forward, one backward."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, bias: Tensor) -> Tensor:
        outputs = _like(_compiled("_bias_act", _rows(features), bias), features)
        ctx.save_for_backward(outputs)
        ctx.dtype = bias.dtype
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (outputs,) = ctx.saved_tensors
        learns = ctx.needs_input_grad[1] and _weights_learn
        if torch.is_grad_enabled() or not learns:
            at_inputs = ActivationGradient.apply(gradient, outputs)
            return at_inputs, at_inputs.sum((0, 2, 3), dtype=ctx.dtype) if learns else None
        at_rows, at_bias = _compiled("_bias_act_gradients", _rows(gradient), _rows(outputs))
        return _like(at_rows, outputs), at_bias.to(ctx.dtype)


class ActivationGradient(torch.autograd.Function):
    """Of `FusedActivation` with respect to the features; linear in the gradient."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, outputs: Tensor) -> Tensor:
        ctx.save_for_backward(outputs)
        return _like(_compiled("_act_gradient", _rows(gradient), _rows(outputs)), outputs)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        return ActivationGradient.apply(change, ctx.saved_tensors[0]), None


def _bias_act(rows: Tensor, bias: Tensor) -> Tensor:
    rows = rows + bias
    return torch.where(rows > 0, rows, rows * LEAK)


def _act_gradient(gradient: Tensor, outputs: Tensor) -> Tensor:
    return torch.where(outputs > 0, gradient, gradient * LEAK)


def _bias_act_gradients(gradient: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    at_inputs = torch.where(outputs > 0, gradient, gradient * LEAK)
    return at_inputs, at_inputs.sum(0, dtype=torch.promote_types(outputs.dtype, torch.float32))


@cache
def _kernel(name: str) -> Any:
    return torch.compile(globals()[name], dynamic=True)


def _compiled(name: str, *given: Tensor) -> Any:
    with torch.no_grad():  # torch would compile for each mode and each kind of tensor apart
        return _kernel(name)(*(value.detach() for value in given))


def _rows(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _like(rows: Tensor, features: Tensor) -> Tensor:
    count, channels, height, width = features.shape
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
