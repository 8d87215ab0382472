"""Leaky ReLU in place, and ReLU, whose second derivatives cost no more than the first.

In place, because a layer's output is needed no more once it is activated: only the activated one is kept. torch's own
is the same up to its second derivative, which adds zeros to the gradient of each activation: two passes over the memory
for nothing, and another tensor of that size. Gradient penalties (R1, R2, WGAN-GP) take second derivatives.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from gan_exp.models.parts import on_gpu, takes_functions


def activate(features: Tensor, leak: float) -> Tensor:
    """Leaky ReLU of the `features`, which it overwrites; `leak` is the slope below zero and is not negative."""
    if features.requires_grad and takes_functions():
        return Activation.apply(features, leak)  # type: ignore[no-any-return]
    return leaky_relu(features, leak, inplace=True)


def rectify(features: Tensor) -> Tensor:
    """ReLU of the `features`, which stay as they are: a residual block adds them again. On a CPU torch's own."""
    if on_gpu(features) and features.requires_grad and takes_functions():
        return Rectification.apply(features)  # type: ignore[no-any-return]
    return relu(features)


class LeakyReLU(nn.LeakyReLU):
    """`activate` as a layer, for what comes after a convolution, a linear layer or BatchNorm.

    On a CPU torch's own: the zeros cost less than calling Functions does, other than in R3GAN (docs/performance.md).
    """

    def __init__(self, leak: float) -> None:
        super().__init__(leak, inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        return activate(input, self.negative_slope) if on_gpu(input) else super().forward(input)


class Activation(torch.autograd.Function):
    """`activate` where it is differentiated."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, leak: float) -> Tensor:
        outputs = leaky_relu(features, leak, inplace=True)
        ctx.mark_dirty(outputs)
        ctx.save_for_backward(outputs)
        ctx.leak = leak
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (outputs,) = ctx.saved_tensors
        return ActivationGradient.apply(gradient, outputs.detach(), ctx.leak), None


class Rectification(torch.autograd.Function):
    """`rectify` where it is differentiated."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        outputs = relu(features)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (outputs,) = ctx.saved_tensors
        return ActivationGradient.apply(gradient, outputs.detach(), 0.0)


class ActivationGradient(torch.autograd.Function):
    """Of both: linear in the `gradient`, and constant in the `outputs`, of which the signs alone count."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, outputs: Tensor, leak: float) -> Tensor:
        ctx.save_for_backward(outputs)
        ctx.leak = leak
        return torch.ops.aten.leaky_relu_backward(gradient, outputs, leak, True)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> Any:
        (outputs,) = ctx.saved_tensors
        return ActivationGradient.apply(change, outputs, ctx.leak), None, None
