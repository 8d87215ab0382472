"""R3GAN's layers beside those of `gan_exp.models.layers`: as R3GAN's loop has them, and in compiled kernels."""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gan_exp.models.layers import _by_matrices, _wanted

LEAK = 0.2
resample = _by_matrices


def plain_resample(features: Tensor, up: bool) -> Tensor:
    """The filter [1, 3, 3, 1] as a depthwise convolution; sides must be even."""
    count = features.shape[1]
    taps = features.new_tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
    kernel = torch.outer(taps, taps).expand(count, 1, 4, 4)
    return (conv_transpose2d if up else conv2d)(features, kernel, stride=2, padding=1, groups=count)


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
        learns = _wanted(ctx, 1)
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
