"""Layers in forms whose first and second derivatives are as fast as they are: convolutions and resampling by two.

torch differentiates a grouped convolution twice group by group, and a depthwise one channel by channel. But a
convolution is linear in its input and in its weight, so each of its derivatives is again a convolution with all groups
at once. Resampling is linear too: upsampling is downsampling's transpose times the area's factor.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, linear

from gan_exp.models.merging import Groups, convolve_merged, differentiate_merged
from gan_exp.models.parts import autocast_dtype, autocasting, on_gpu, takes_functions

SMALL = 4  # pixels of a side, up to which a GPU computes a float32 convolution as matrix products


def pointwise(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, activate: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """A 1x1 convolution [N, C, H, W] by weights [outputs, C, 1, 1], activated: on a GPU one product over all pixels."""
    if on_gpu(features):
        return pointwise_product(features, weight, bias, activate)
    results = convolve(features, weight, bias)
    return results if activate is None else activate(results)


def pointwise_product(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, activate: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """`pointwise` by `linear`.

    The product itself is activated, not a view of it: overwriting a view makes torch pass over its gradient five times
    more, and some twenty times under a gradient penalty.
    """
    count, channels, height, width = features.shape
    pixels = linear(features.permute(0, 2, 3, 1).reshape(-1, channels), weight.flatten(1), bias)
    if activate is not None:
        pixels = activate(pixels)
    return pixels.view(count, height, width, -1).permute(0, 3, 1, 2)


def convolve(features: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1, merged: int = 1) -> Tensor:
    """conv2d with stride 1, padded to the same size; either 1x1, or an odd kernel and as many outputs as inputs.

    So many groups are `merged` into one.
    """
    dtype = autocast_dtype(features.device.type)
    if dtype is not None:  # autocast doesn't look into a Function
        features, weight = features.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    small = on_gpu(features) and features.dtype == torch.float32 and max(features.shape[2:]) <= SMALL
    if small and weight.shape[2:] == (3, 3):
        results = small_convolution(features, weight)
        return results if bias is None else results + bias.view(1, -1, 1, 1)
    if not takes_functions():
        return convolve_merged(features, weight, bias, Groups(groups, merged))
    return Convolution.apply(_placed(features), weight, bias, Groups(groups, merged))  # type: ignore[no-any-return]


class Convolution(torch.autograd.Function):
    """`convolve` where it is differentiated."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, groups: Groups) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.groups = groups
        return _placed(convolve_merged(inputs, weight, bias, groups))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        at_inputs = at_weight = at_bias = None
        if _wanted(ctx, 0):
            at_inputs = InputGradient.apply(_placed(gradient), weight, ctx.groups)
        if _wanted(ctx, 1):
            at_weight = WeightGradient.apply(gradient, inputs, weight, ctx.groups)
        if _wanted(ctx, 2):
            at_bias = gradient.sum((0, 2, 3))
        return at_inputs, at_weight, at_bias, None


class InputGradient(torch.autograd.Function):
    """Of `Convolution` with respect to its inputs: linear in the `gradient` of its outputs, and in the weight."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, groups: Groups) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.groups = groups
        if weight.shape[2:] == (1, 1):
            return _placed(conv2d(gradient, _placed(weight.transpose(0, 1))))
        return differentiate_merged(gradient, gradient, weight, groups, at_inputs=True)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        gradient, weight = ctx.saved_tensors
        at_gradient = at_weight = None
        if _wanted(ctx, 0):
            at_gradient = Convolution.apply(_placed(change), weight, None, ctx.groups)
        if _wanted(ctx, 1):
            at_weight = WeightGradient.apply(gradient, change, weight, ctx.groups)
        return at_gradient, at_weight, None


class WeightGradient(torch.autograd.Function):
    """Of `Convolution` with respect to its weight, which gives the shape only."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, inputs: Tensor, weight: Tensor, groups: Groups) -> Tensor:
        ctx.save_for_backward(gradient, inputs)
        ctx.groups = groups
        return differentiate_merged(gradient, inputs, weight, groups, at_inputs=False)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        gradient, inputs = ctx.saved_tensors
        at_gradient = at_inputs = None
        if _wanted(ctx, 0):
            at_gradient = Convolution.apply(inputs, change, None, ctx.groups)
        if _wanted(ctx, 1):
            at_inputs = InputGradient.apply(_placed(gradient), change, ctx.groups)
        return at_gradient, at_inputs, None, None


def channels_last(features: Tensor) -> Tensor:
    """The same numbers; their gradient, and its gradient, lie channels last too."""
    if not takes_functions():
        return _placed(features)
    return ChannelsLast.apply(features)  # type: ignore[no-any-return]


class ChannelsLast(torch.autograd.Function):
    """`channels_last` where it is differentiated."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        return _placed(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ChannelsLast.apply(gradient)


def _placed(tensor: Tensor) -> Tensor:
    """Channels last, which everything is that comes from it: what lies in two ways is added and activated slowly."""
    return tensor.contiguous(memory_format=torch.channels_last)


def _wanted(ctx: Any, number: int) -> bool:
    """Whether the backward pass that is under way goes on to this input.

    `needs_input_grad` says only that it requires a gradient: a penalty's `torch.autograd.grad` at the images would
    compute gradients of all weights.
    """
    if not ctx.needs_input_grad[number]:
        return False
    node = ctx.next_functions[number][0]
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # it is one of those that `torch.autograd.grad` was asked for
        return True


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
    results = results.transpose(0, 1).reshape(count, outputs, height, width)
    return results.contiguous(memory_format=torch.channels_last)


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
    """Doubled or halved by the filter [1, 3, 3, 1] in both directions, 0 outside; to be halved, sides must be even."""
    if not takes_functions():
        return _resampled(features, up, 1.0)
    return Resampling.apply(features, up, 1.0)  # type: ignore[no-any-return]


class Resampling(torch.autograd.Function):
    """`resample` times a factor; its derivative is the other direction."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, up: bool, factor: float) -> Tensor:
        ctx.up, ctx.factor = up, factor
        return _resampled(features, up, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return Resampling.apply(gradient, not ctx.up, ctx.factor * (4 if ctx.up else 1 / 4)), None, None


def _resampled(features: Tensor, up: bool, factor: float) -> Tensor:
    """By the fastest way for the device, in the features' own format."""
    kind = features.device.type
    with autocasting(kind, None) if features.is_meta else torch.autocast(kind, enabled=False):
        if on_gpu(features):
            return _by_matrices(features, up, factor)
        if up:
            return _doubled(features if factor == 1 else features * factor)
        count = features.shape[1]
        taps = features.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = (torch.outer(taps, taps) * factor).expand(count, 1, 4, 4)
        return conv2d(features, kernel, stride=2, padding=1, groups=count)


def _doubled(features: Tensor) -> Tensor:
    """Bilinear: the nearest pixel counts 3/4, the next one 1/4. At the edges that one is 0, not the nearest again."""
    doubled = interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    for edge in (doubled[:, :, :1], doubled[:, :, -1:], doubled[..., :1], doubled[..., -1:]):
        edge.mul_(0.75)
    return doubled


def _by_matrices(features: Tensor, up: bool, factor: float = 1.0) -> Tensor:
    """Two products with small matrices, which a GPU's matrix units compute."""
    count, channels, height, width = features.shape
    rows, columns = (_filter(size, up, features.device, features.dtype) for size in (height, width))
    pixels = (rows * factor) @ features.permute(0, 2, 3, 1).reshape(count, height, width * channels)
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
