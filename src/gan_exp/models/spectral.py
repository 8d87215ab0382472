"""Spectral normalisation of a network's layers (Miyato et al. 2018), whose norms are always computed in float32."""

from typing import cast

from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization

from gan_exp.models.parts import in_full_precision


class _Norm(_SpectralNorm):
    """Under autocast a GPU would multiply the weight in bfloat16."""

    def forward(self, weight: Tensor) -> Tensor:
        return in_full_precision(super().forward, weight)


def normalise_spectrally(network: nn.Module) -> None:
    """Divide each weight of a linear, convolution or embedding layer by its largest singular value."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            if not layer.weight.any():  # R3GAN's blocks begin with zeros, which nothing scales to a norm of 1
                nn.init.xavier_uniform_(layer.weight)
            register_parametrization(layer, "weight", cast(nn.Module, _Norm(layer.weight)))
