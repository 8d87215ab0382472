"""A chain of plain layers whose backward pass is derived by hand: what autograd computes, without its bookkeeping.

A network that is such a chain says so with a method `chain`, which gives its layers in their order (`manual_check.py`
does not take its word for it). Each class here
stands for one of them: `forward` keeps what `backward` needs, `backward` writes the gradients of the layer's parameters
into their `.grad` and returns that of its inputs.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from gan_exp.models.mlp import KerasBatchNorm1d

aten = torch.ops.aten

# Exactly these: a subclass, such as a layer with spectral norm, may compute something else.
PLAIN = (nn.Linear, nn.LeakyReLU, nn.ReLU, nn.Tanh, nn.BatchNorm1d, KerasBatchNorm1d, nn.Flatten, nn.Unflatten)


class Batching(NamedTuple):
    """The inputs of a forward pass are one or several batches of `size`, of which the last is differentiated.

    BatchNorm normalises each on its own; with `inference` all but the last by its moving averages.
    """

    size: int
    inference: bool = False


class Link(Protocol):
    """One layer. Tensors are [k N, F], or [k N, ...] before the first and after the last reshaping."""

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor: ...

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor | None:
        """`gradient` is that of the outputs of the last `forward`'s last batch; returns None unless `to_inputs`."""


class Chain:
    """Raises ValueError for a layer that has no derivative here."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._links = [_link(layer) for layer in layers]
        self._first = next(link for link in self._links if not isinstance(link, _Reshape))
        self.normalises = any(isinstance(link, _BatchNorm) for link in self._links)
        for layer in layers:
            for parameter in layer.parameters():
                parameter.grad = torch.zeros_like(parameter)

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        for link in self._links:
            inputs = link.forward(inputs, batching)
        return inputs

    def backward(self, gradient: Tensor, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """From the gradient of the outputs to those of the parameters, of the inputs, or both."""
        passed: Tensor | None = gradient
        for link in reversed(self._links):
            if passed is None:  # what is before the first layer with weights only gives the inputs another shape
                break
            passed = link.backward(passed, to_weights, to_inputs or link is not self._first)
        return passed


class _Linear:
    def __init__(self, layer: nn.Linear) -> None:
        self._layer = layer

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        self._inputs = inputs[-batching.size :]
        return torch.addmm(self._layer.bias, inputs, self._layer.weight.t())

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor | None:
        weight, bias = self._layer.weight, self._layer.bias
        if to_weights:
            torch.mm(gradient.t(), self._inputs, out=weight.grad)
            torch.sum(gradient, 0, out=bias.grad)
        return torch.mm(gradient, weight) if to_inputs else None


class _LeakyReLU:
    """In place: a linear layer or BatchNorm before it does not need its outputs any more."""

    def __init__(self, slope: float) -> None:
        self._slope = slope

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        outputs = leaky_relu_(inputs, self._slope)
        self._outputs = outputs[-batching.size :]
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        slope: Tensor = aten.leaky_relu_backward(gradient, self._outputs, self._slope, True)
        return slope


class _Tanh:
    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        outputs = inputs.tanh_()
        self._outputs = outputs[-batching.size :]
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        slope: Tensor = aten.tanh_backward(gradient, self._outputs)
        return slope


class _BatchNorm:
    """The layer itself normalises what is not differentiated, and keeps its statistics."""

    def __init__(self, layer: nn.BatchNorm1d) -> None:
        self._layer = layer

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        *others, last = inputs.split(batching.size)
        self._layer.train(not batching.inference)
        parts = [self._layer(batch) for batch in others]
        self._layer.train()
        self._inputs = last
        parts.append(self._normalise(last))
        return torch.cat(parts) if others else parts[0]

    def _normalise(self, inputs: Tensor) -> Tensor:
        layer = self._layer
        own = isinstance(layer, KerasBatchNorm1d)  # whose moving variance is that of the batch as it is
        averages = (None, None) if own else (layer.running_mean, layer.running_var)
        assert layer.momentum is not None
        outputs, self._mean, self._inverse_deviation = torch.native_batch_norm(
            inputs, layer.weight, layer.bias, *averages, True, layer.momentum, layer.eps
        )
        if isinstance(layer, KerasBatchNorm1d):
            layer.update_averages(self._mean, self._inverse_deviation)
        elif layer.num_batches_tracked is not None:
            layer.num_batches_tracked.add_(1)
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        layer = self._layer
        slope: Tensor
        slope, weight, bias = aten.native_batch_norm_backward(
            gradient, self._inputs, layer.weight, None, None, self._mean, self._inverse_deviation, True, layer.eps,
            (True, True, True),
        )  # fmt: skip
        if to_weights:
            assert layer.weight.grad is not None and layer.bias.grad is not None
            layer.weight.grad.copy_(weight)
            layer.bias.grad.copy_(bias)
        return slope


class _Reshape:
    def __init__(self, layer: nn.Flatten | nn.Unflatten) -> None:
        self._layer = layer

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        self._shape = inputs.shape[1:]
        outputs: Tensor = self._layer(inputs)
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        return gradient.reshape(-1, *self._shape)


def _link(layer: nn.Module) -> Link:
    if type(layer) not in PLAIN:
        raise ValueError(f"{type(layer).__name__} has no derived backward")
    match layer:
        case nn.Linear() if layer.bias is not None:
            return _Linear(layer)
        case nn.LeakyReLU() if layer.negative_slope >= 0:
            return _LeakyReLU(layer.negative_slope)
        case nn.ReLU():
            return _LeakyReLU(0.0)
        case nn.Tanh():
            return _Tanh()
        case nn.BatchNorm1d() if layer.affine and layer.track_running_stats and layer.momentum is not None:
            return _BatchNorm(layer)
        case nn.Flatten() | nn.Unflatten():
            return _Reshape(layer)
    raise ValueError(f"{layer} has no derived backward")
