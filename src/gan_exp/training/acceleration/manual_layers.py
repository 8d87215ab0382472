"""Plain layers with a manual backward pass, which computes what autograd does without its bookkeeping.

A network that applies such layers one after the other has a method `chain`, which returns them in this order;
`manual_check.py` compares the two. Each class here runs one layer: `forward` keeps what `backward` needs, `backward`
writes the gradients of the layer's parameters into their `.grad` and returns that of the inputs.
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
    """The inputs of a forward pass are one or several batches of `size`; only the last one is differentiated.

    BatchNorm normalises each batch by itself, with `inference` all but the last by its moving averages.
    """

    size: int
    inference: bool = False


class ManualLayer(Protocol):
    """One layer. Tensors are [k N, F], or [k N, ...] before the first and after the last reshaping."""

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor: ...

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor | None:
        """`gradient` is that of the outputs of the last `forward`'s last batch; returns None unless `to_inputs`."""


class ManualNetwork:
    """Layers that are applied one after the other. Raises ValueError for one without a manual backward pass."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = [_manual_layer(layer) for layer in layers]
        self._first = next(layer for layer in self._layers if not isinstance(layer, _Reshape))
        self.normalises = any(isinstance(layer, _BatchNorm) for layer in self._layers)
        for module in layers:
            for parameter in module.parameters():
                parameter.grad = torch.zeros_like(parameter)

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        for layer in self._layers:
            inputs = layer.forward(inputs, batching)
        return inputs

    def backward(self, gradient: Tensor, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """From the gradient of the outputs to those of the parameters, of the inputs, or both."""
        passed: Tensor | None = gradient
        for layer in reversed(self._layers):
            if passed is None:  # only reshaping comes before the first layer with weights
                break
            passed = layer.backward(passed, to_weights, to_inputs or layer is not self._first)
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

    def __init__(self, negative_slope: float) -> None:
        self._negative_slope = negative_slope

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        outputs = leaky_relu_(inputs, self._negative_slope)
        self._outputs = outputs[-batching.size :]
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        inputs_gradient: Tensor = aten.leaky_relu_backward(gradient, self._outputs, self._negative_slope, True)
        return inputs_gradient


class _Tanh:
    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        outputs = inputs.tanh_()
        self._outputs = outputs[-batching.size :]
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        inputs_gradient: Tensor = aten.tanh_backward(gradient, self._outputs)
        return inputs_gradient


class _BatchNorm:
    """The layer itself normalises the batches that are not differentiated, and keeps its statistics."""

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
        keras = isinstance(layer, KerasBatchNorm1d)  # it averages the biased variance, and is updated below
        averages = (None, None) if keras else (layer.running_mean, layer.running_var)
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
        inputs_gradient: Tensor
        inputs_gradient, weight_gradient, bias_gradient = aten.native_batch_norm_backward(
            gradient, self._inputs, layer.weight, None, None, self._mean, self._inverse_deviation, True, layer.eps,
            (True, True, True),
        )  # fmt: skip
        if to_weights:
            assert layer.weight.grad is not None and layer.bias.grad is not None
            layer.weight.grad.copy_(weight_gradient)
            layer.bias.grad.copy_(bias_gradient)
        return inputs_gradient


class _Reshape:
    def __init__(self, layer: nn.Flatten | nn.Unflatten) -> None:
        self._layer = layer

    def forward(self, inputs: Tensor, batching: Batching) -> Tensor:
        self._shape = inputs.shape[1:]
        outputs: Tensor = self._layer(inputs)
        return outputs

    def backward(self, gradient: Tensor, to_weights: bool, to_inputs: bool) -> Tensor:
        return gradient.reshape(-1, *self._shape)


def _manual_layer(layer: nn.Module) -> ManualLayer:
    if type(layer) not in PLAIN:
        raise ValueError(f"{type(layer).__name__} has no manual backward pass")
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
    raise ValueError(f"{layer} has no manual backward pass")
