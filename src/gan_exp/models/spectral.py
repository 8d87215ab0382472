"""Spectral normalisation of a network's layers (Miyato et al. 2018), whose norms are always computed in float32."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization
from torch.nn.utils.spectral_norm import SpectralNorm

from gan_exp.models.parts import in_full_precision

Tensors = tuple[Tensor, ...]


class _Norm(_SpectralNorm):
    """Of one weight; `normalised` is the weight of the update that is under way."""

    normalised: Tensor | None

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.register_buffer("normalised", None, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        if self.normalised is not None:
            return self.normalised
        return in_full_precision(super().forward, weight)  # under autocast a GPU would multiply it in bfloat16


def normalise_spectrally(network: nn.Module) -> None:
    """Divide each weight of a linear, convolution or embedding layer by its largest singular value."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            if not layer.weight.any():  # R3GAN's blocks begin with zeros, which nothing scales to a norm of 1
                nn.init.xavier_uniform_(layer.weight)
            register_parametrization(layer, "weight", cast(nn.Module, _Norm(layer.weight)))


class SpectralNorms:
    """Those of a network, in its training."""

    def __init__(self, network: nn.Module) -> None:
        self._pairs = [
            (layer.original, layer[0])
            for layer in network.modules()
            if isinstance(layer, ParametrizationList) and isinstance(layer[0], _Norm)
        ]

    @contextmanager
    def once(self) -> Iterator[None]:
        """Within it each weight is normalised once, after one power iteration, however often the network is called.

        As in the paper (algorithm 1: once for each update). So the network is the same function in each call.
        """
        if not self._pairs:
            yield
            return
        weights, norms = zip(*self._pairs, strict=True)
        vectors = [(norm._u, norm._v) for norm in norms]
        try:
            for norm, weight in zip(norms, _Normalise.apply(vectors, *weights), strict=True):
                norm.normalised = weight
            yield
        finally:
            for norm in norms:
                norm.normalised = None


def turning_layer(network: nn.Module) -> str | None:
    """The first layer whose spectral norm each call changes, within `SpectralNorms.once` too, as torch's own does."""
    for name, module in network.named_modules():
        listed = isinstance(module, ParametrizationList) and not isinstance(module[0], _Norm)
        turns = listed and any(isinstance(each, _SpectralNorm) for each in module.children())
        if turns or any(isinstance(hook, SpectralNorm) for hook in module._forward_pre_hooks.values()):
            return str(name).removesuffix(".parametrizations.weight")
    return None


def weights_of_update(module: nn.Module) -> dict[str, Tensor]:
    """Those within `SpectralNorms.once`, by their names as buffers; none outside of it."""
    norms = [(name, norm) for name, norm in module.named_modules() if isinstance(norm, _Norm)]
    return {f"{name}.normalised": norm.normalised for name, norm in norms if norm.normalised is not None}


class _Normalise(torch.autograd.Function):
    """Weights W [rows, ...] divided by s = u W v, all of them together: each small operation is a kernel on a GPU.

    The power iteration changes the vectors u [rows] and v in place. The gradient takes them as constants, as the paper
    does (equation 9): (g - <g, W / s> u v) / s.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Sequence[tuple[Tensor, Tensor]], *weights: Tensor) -> tuple[Tensor, ...]:
        lefts, rights = ([pair[side] for pair in vectors] for side in (0, 1))
        matrices = [weight.flatten(1) for weight in weights]
        new_lefts, _ = _unit([matrix.mv(v) for matrix, v in zip(matrices, rights, strict=True)])
        new_rights, norms = _unit([matrix.t().mv(u) for matrix, u in zip(matrices, new_lefts, strict=True)])
        torch._foreach_copy_([*lefts, *rights], [*new_lefts, *new_rights])
        normalised = torch._foreach_div(list(weights), list(norms))  # u W v is the length of W^T u
        ctx.save_for_backward(*normalised, *new_lefts, *new_rights, *norms)
        ctx.set_materialize_grads(False)  # a layer that no call has used has none, and its optimizer passes it over
        return tuple(normalised)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        count, saved = len(gradients), ctx.saved_tensors
        given = [(gradient, *saved[k::count]) for k, gradient in enumerate(gradients) if gradient is not None]
        found = iter(_gradients(*zip(*given, strict=True)) if given else ())
        return None, *(None if gradient is None else next(found) for gradient in gradients)


def _gradients(
    gradients: Tensors, normalised: Tensors, lefts: Tensors, rights: Tensors, norms: Tensors
) -> list[Tensor]:
    products = torch._foreach_mul(gradients, normalised)
    found = [
        gradient - torch.outer(product.sum() * u, v).view_as(gradient)
        for gradient, product, u, v in zip(gradients, products, lefts, rights, strict=True)
    ]
    torch._foreach_div_(found, norms)
    return found


def _unit(vectors: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The vectors at length 1, and the lengths that they had."""
    lengths = list(torch._foreach_maximum(torch._foreach_norm(vectors), 1e-12))
    return list(torch._foreach_div(vectors, lengths)), lengths
