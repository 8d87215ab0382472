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

aten = torch.ops.aten


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
        if input.dtype == torch.bfloat16:  # statistics need more digits
            return self.forward(input.float()).to(input.dtype)
        if input.device.type == "cpu":
            with torch.no_grad():
                own = torch.stack(aten.batch_norm_update_stats(input, None, None, 0.0))
                mean, variance = _merge(self.ranks.gather(own.unsqueeze(0)))
            outputs: Tensor = _Normalise.apply(input, self.weight, self.bias, mean, variance, self.eps, self.ranks)
        else:
            outputs, mean, variance = _normalised(input, self.weight, self.bias, self.eps, self.ranks)
        self._update_averages(mean, variance, self.ranks.count * input.numel() // len(mean))
        return outputs

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


def _merge(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the biased variance [C] over all ranks, from those of each [ranks, 2, C].

    From sums of squares they would lose digits where the mean is large.
    """
    means, variances = statistics.unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean) ** 2).mean(0)


def _normalised(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
) -> tuple[Tensor, Tensor, Tensor]:
    """Also the mean and the variance; made of operations that have derivatives of any order."""
    variance, mean = torch.var_mean(inputs, [0, *range(2, inputs.dim())], correction=0)
    mean, variance = _merge(_Gather.apply(torch.stack([mean, variance]).unsqueeze(0), ranks))
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    outputs = (inputs - _by_channel(mean, inputs)) * _by_channel(scale, inputs)
    return outputs if bias is None else outputs + _by_channel(bias, inputs), mean, variance


def _by_channel(values: Tensor, inputs: Tensor) -> Tensor:
    return values.view([1, -1] + [1] * (inputs.dim() - 2))


class _Normalise(torch.autograd.Function):
    """`_normalised` by torch's own kernels, several times as fast on a CPU.

    Where its derivative is to have one, for a penalty, that is computed by `_normalised`.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor,
        eps: float, ranks: Ranks,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(inputs, weight, bias, mean, variance)
        ctx.eps, ctx.ranks = eps, ranks
        return torch.native_batch_norm(inputs, weight, bias, mean, variance, False, 0.0, eps)[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():
            outputs, _, _ = _normalised(inputs, weight, bias, ctx.eps, ctx.ranks)
            needed = [
                given for given, needs in zip((inputs, weight, bias), ctx.needs_input_grad, strict=False) if needs
            ]
            found = iter(torch.autograd.grad(outputs, needed, gradient, create_graph=True))
            return *(next(found) if needs else None for needs in ctx.needs_input_grad[:3]), None, None, None, None
        if inputs.dim() == 4 and inputs.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)  # two layouts are 20 times slower
        inverse = (variance + ctx.eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        _, of_weight, of_bias = aten.native_batch_norm_backward(
            gradient, inputs, scale, mean, variance, mean, inverse, True, ctx.eps, (False, True, True)
        )
        of_inputs = None
        if ctx.needs_input_grad[0]:
            means = torch.stack([of_weight, of_bias]) / (inputs.numel() // len(mean) * ctx.ranks.count)
            ctx.ranks.sum_([means])
            slope, shift = -scale * means
            through_statistics = torch.native_batch_norm(inputs, slope, shift, mean, variance, False, 0.0, ctx.eps)[0]
            of_inputs = torch.addcmul(through_statistics, gradient, _by_channel(scale, inputs))
        return of_inputs, None if weight is None else of_weight, None if bias is None else of_bias, *[None] * 4


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
