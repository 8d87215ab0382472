"""BatchNorm over all processes that train one GAN: each normalises its part with the statistics of the whole batch.

torch's SyncBatchNorm runs on GPUs only and has no second derivative, which a penalty on D's gradient needs. This one is
made of differentiable operations, one of which gathers each rank's statistics.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_exp.errors import UserError
from gan_exp.models.mlp import KerasBatchNorm1d
from gan_exp.runtime.ranks import Ranks


class SynchronisedBatchNorm(_BatchNorm):
    """Equal to nn.BatchNorm of the whole batch, of which each rank has an equally large part [N, C, ...].

    In inference mode it is nn.BatchNorm, so that one rank alone may draw samples. Parameters and buffers have the same
    names, and the moving averages are the same on all ranks.
    """

    ranks: Ranks
    averages_biased = False  # the moving average is of the biased variance, as in Keras

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm takes [N, C, ...], not {input.dim()} dimensions")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        mean, variance = self._statistics(input)
        self._update_averages(mean, variance, self.ranks.count * input.numel() // len(mean))
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shape = [1, -1] + [1] * (input.dim() - 2)
        centred = (input - mean.view(shape)) * scale.view(shape)
        return centred if self.bias is None else centred + self.bias.view(shape)

    def _statistics(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the biased variance [C] of each channel over all ranks.

        From each rank's mean and variance: sums of squares would lose digits where the mean is large.
        """
        own = torch.stack(torch.var_mean(inputs, [0, *range(2, inputs.dim())], correction=0))
        gathered: Tensor = _Gather.apply(own.unsqueeze(0), self.ranks)
        variances, means = gathered.unbind(1)  # [ranks, C] each
        mean = means.mean(0)
        return mean, (variances + (means - mean) ** 2).mean(0)

    @torch.no_grad()
    def _update_averages(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """`count` values of each channel have this mean and this biased variance, [C] each."""
        if self.running_mean is None or self.running_var is None:
            return
        if not self.averages_biased:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            variance = variance * (count / max(count - 1, 1))
        weight = self.momentum
        if weight is None:  # the plain average of all batches
            assert self.num_batches_tracked is not None
            weight = 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)


class SynchronisedKerasBatchNorm(SynchronisedBatchNorm):
    averages_biased = True


SYNCHRONISED: dict[type[_BatchNorm], type[SynchronisedBatchNorm]] = {
    nn.BatchNorm1d: SynchronisedBatchNorm,
    nn.BatchNorm2d: SynchronisedBatchNorm,
    nn.BatchNorm3d: SynchronisedBatchNorm,
    nn.SyncBatchNorm: SynchronisedBatchNorm,
    KerasBatchNorm1d: SynchronisedKerasBatchNorm,
}


def synchronise_batch_norm(network: nn.Module, ranks: Ranks) -> None:
    """Let each BatchNorm of `network` normalise with the statistics of all ranks; its weights stay as they are.

    Raises UserError for a subclass of BatchNorm that isn't known here.
    """
    if ranks.count == 1:
        return
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm):
            kind = SYNCHRONISED.get(type(layer))
            if kind is None:
                raise UserError(
                    f"{type(network).__name__}: its layer {name} ({type(layer).__name__}) is a BatchNorm that can't "
                    f"be taken over several processes; use nn.BatchNorm, or train in one process"
                )
            layer.__class__ = kind  # the same object, whatever refers to it
            assert isinstance(layer, SynchronisedBatchNorm)
            layer.ranks = ranks


class _Gather(torch.autograd.Function):
    """The parts [n, ...] of all ranks, one after the other."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.gather(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _OwnSum.apply(gradient, ctx.ranks), None


class _OwnSum(torch.autograd.Function):
    """The derivative of `_Gather`: the sum over all ranks, and of it this rank's rows. `_Gather` is its derivative."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        summed = gradient.clone()
        ranks.sum_([summed])
        return summed[ranks.rows(len(summed))]

    @staticmethod
    def backward(ctx: Any, part: Tensor) -> tuple[Tensor, None]:
        return _Gather.apply(part, ctx.ranks), None
