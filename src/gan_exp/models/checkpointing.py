"""Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"), for any derivative.

A segment of a network keeps its inputs alone, and computes the rest again in the backward pass. torch's own checkpoints
compute the forward pass again, but keep all of a gradient penalty's first derivative. Here the backward pass is itself
such a segment, so that under a penalty each segment keeps its input and the gradient of its output.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gan_exp.models.parts import autocast_dtype, autocasting
from gan_exp.models.spectral import weights_of_update

Tensors = tuple[Tensor | None, ...]
Function = Callable[..., Tensor | Tensors]  # of tensors alone


def with_checkpointing(network: nn.Module) -> nn.Module:
    """Let each segment of `network` be computed again in the backward pass; the weights keep their names.

    Segments are the outermost modules of the types in its attribute `segments`, or else the parts of its outermost
    nn.Sequentials, each from one layer with a matrix of weights to the next. Raises ValueError if it has none, or draws
    random numbers in them.
    """
    named: tuple[type[nn.Module], ...] | None = getattr(network, "segments", None)
    found = list(_outermost(network, (nn.Sequential,) if named is None else named))
    if not found and named is None:
        raise ValueError(f"{type(network).__name__} has no nn.Sequential, and names no other modules as its `segments`")
    for module in found:
        if any(isinstance(layer, nn.modules.dropout._DropoutNd) for layer in module.modules()):
            raise ValueError(f"{type(network).__name__} has dropout, which would differ the second time")
        module.__class__ = _checkpointed(type(module))  # the same object, whatever refers to it
    return network


def _outermost(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, kinds):
            yield child
        else:
            yield from _outermost(child, kinds)


class _CheckpointedSequential(nn.Sequential):
    def forward(self, *inputs: Any) -> Any:
        (values,) = inputs
        for segment in _segments(list(self)):
            values = recomputed(segment, segment.forward, values)
        return values


def _segments(layers: Sequence[nn.Module]) -> list[nn.Sequential]:
    """Each begins with a layer that has a matrix of weights."""
    parts: list[list[nn.Module]] = []
    for layer in layers:
        if not parts or any(parameter.ndim > 1 for parameter in layer.parameters()):
            parts.append([])
        parts[-1].append(layer)
    return [nn.Sequential(*part) for part in parts]


_classes: dict[type[nn.Module], type[nn.Module]] = {nn.Sequential: _CheckpointedSequential}


def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass of `kind` whose forward pass is a segment."""
    if kind not in _classes:

        def forward(self: nn.Module, *inputs: Tensor) -> Any:
            return recomputed(self, lambda *values: kind.forward(self, *values), *inputs)

        _classes[kind] = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    return _classes[kind]


def recomputed(module: nn.Module, forward: Callable[..., Any], *inputs: Tensor) -> Any:
    """`forward(*inputs)`, which uses the parameters and buffers of `module`; its buffers change once."""
    parameters = {**dict(module.named_parameters()), **weights_of_update(module)}
    given = (*inputs, *parameters.values())
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)):
        return forward(*inputs)
    return _Recomputed.apply(_Segment(module, forward, tuple(parameters), len(inputs)), None, *given)


class _Segment:
    """A part of a network as a function of its inputs and parameters, with the buffers that it has now.

    The first call changes the buffers themselves, all later ones copies: moving averages move once, and the vectors of
    spectral normalisation are again what they were.
    """

    def __init__(
        self, module: nn.Module, forward: Callable[..., Any], parameters: tuple[str, ...], inputs: int
    ) -> None:
        self._module, self._forward, self._parameters, self._inputs = module, forward, parameters, inputs
        self._buffers: dict[str, Tensor] | None = None
        self._kind = next(module.parameters()).device.type if parameters else "cpu"
        self._dtype = autocast_dtype(self._kind)

    def __call__(self, *tensors: Tensor, only: Sequence[bool] | None = None) -> Tensor:
        inputs, parameters = tensors[: self._inputs], tensors[self._inputs :]
        if self._buffers is None:
            buffers = dict(self._module.named_buffers())
            self._buffers = {name: buffers[name].clone() for name in buffers.keys() - set(self._parameters)}
            return self._run(inputs)
        values = dict(zip(self._parameters, parameters, strict=True))
        buffers = {name: buffer.clone() for name, buffer in self._buffers.items()}
        return self._run(inputs, {**values, **buffers})

    def _run(self, inputs: Sequence[Tensor], others: Mapping[str, Tensor] | None = None) -> Tensor:
        """With `others` in the place of the parameters and buffers."""
        if self._dtype is None:
            return self._call(inputs, others)
        with autocasting(self._kind, self._dtype, cache=False):  # a cached weight would have no gradient
            return self._call(inputs, others)

    def _call(self, inputs: Sequence[Tensor], others: Mapping[str, Tensor] | None) -> Tensor:
        if others is None:
            return self._forward(*inputs)  # type: ignore[no-any-return]
        named = {f"module.{name}": tensor for name, tensor in others.items()}
        return functional_call(_Call(self._module, self._forward), named, tuple(inputs))  # type: ignore[no-any-return]


class _Call(nn.Module):
    """`forward` as that of a module, which torch can call with other tensors."""

    def __init__(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self._forward = module, forward

    def forward(self, *inputs: Tensor) -> Any:
        return self._forward(*inputs)


class _Recomputed(torch.autograd.Function):
    """`function(*tensors)`, of which the tensors alone are kept."""

    @staticmethod
    def forward(ctx: Any, function: Function, only: Sequence[bool] | None, *tensors: Tensor | None) -> Any:
        ctx.set_materialize_grads(False)
        ctx.function = function
        ctx.save_for_backward(*tensors)
        return function(*tensors, only=only)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[2:]
        derivative = _Derivative(ctx.function, len(tensors))
        if torch.is_grad_enabled():
            return None, None, *_Recomputed.apply(derivative, needed, *tensors, *gradients)
        return None, None, *derivative(*tensors, *gradients, only=needed)


@dataclass(frozen=True)
class _Derivative:
    """(tensors, gradients of the function's results) -> gradients of the tensors."""

    function: Function
    count: int

    def __call__(self, *given: Tensor | None, only: Sequence[bool]) -> Tensors:
        """The gradients of those tensors that `only` marks; None for the others."""
        differentiable = torch.is_grad_enabled()
        tensors, gradients = list(given[: self.count]), given[self.count :]
        with torch.enable_grad():
            if not differentiable:
                marked = zip(tensors, only, strict=False)  # gradients of results need none of their own here
                tensors = [None if t is None else t.detach().requires_grad_(n) for t, n in marked]
            results = self._results(tensors, gradients)
            wanted = [tensor for tensor, needed in zip(tensors, only, strict=True) if needed and tensor is not None]
            pairs = [
                (result, gradient)
                for result, gradient in zip(results, gradients, strict=True)
                if result is not None and gradient is not None and result.requires_grad
            ]
            if not pairs or not wanted:
                return (None,) * len(tensors)
            found = torch.autograd.grad(
                [result for result, _ in pairs],
                wanted,
                [gradient for _, gradient in pairs],
                create_graph=differentiable,
                allow_unused=True,
            )
        rest = iter(found)
        return tuple(next(rest) if n and t is not None else None for t, n in zip(tensors, only, strict=True))

    def _results(self, tensors: Sequence[Tensor | None], gradients: Tensors) -> Tensors:
        """Only those whose gradients are there, since others need not be computed."""
        results = self.function(*tensors, only=[gradient is not None for gradient in gradients])
        return results if isinstance(results, tuple) else (results,)
