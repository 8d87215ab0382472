"""R3GAN's training step with its layers computed in several ways; the networks and their parameters are gan-exp's.

RpGAN with R1 and R2, unconditional, one update of each network (Huang et al. 2024). The peer is R3GAN's published loop,
written afresh after its description: bfloat16 but for the coarsest stage, NCHW, grouped convolutions as torch has them,
gradients gathered into one vector in which what is not finite is replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear, softplus

from benchmarks.speed.gpu import layers
from gan_exp.models.layers import convolve, small_convolution
from gan_exp.models.r3gan import R3GANDiscriminator, R3GANGenerator, _Block, _Resample

GAMMA = 0.05
SIGMA = 0.01  # of finite differences
SMALLEST = 4  # pixels of a side, up to which a convolution is a matrix product


@dataclass(frozen=True)
class Way:
    """How the same networks are computed. `dtype` is that of all stages but the coarsest, which has `exact`."""

    dtype: torch.dtype = torch.float32
    exact: torch.dtype = torch.float32
    fast: bool = False  # the layers of `layers`, instead of those that gan-exp and R3GAN have
    channels_last: bool = False
    fused: bool = False  # bias and activation in one compiled kernel

    def pointwise(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        weight = weight.to(x.dtype)
        bias = None if bias is None else bias.to(x.dtype)
        if self.fast and self.channels_last:
            return linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
        return conv2d(x, weight, bias)

    def grouped(self, x: Tensor, layer: nn.Conv2d) -> Tensor:
        weight = layer.weight.to(x.dtype)
        if not self.fast:
            return conv2d(x, weight, padding=1, groups=layer.groups)
        if max(x.shape[2:]) <= SMALLEST:
            return self.placed(small_convolution(x, weight))
        return convolve(x, self.placed(weight), groups=layer.groups)

    def activated(self, x: Tensor, bias: Tensor) -> Tensor:
        if self.fused:
            return layers.FusedActivation.apply(x, bias.to(x.dtype))
        if self.fast:
            return layers.activate(x, bias.to(x.dtype))
        return leaky_relu(x + bias.to(x.dtype).view(1, -1, 1, 1), layers.LEAK)

    def block(self, x: Tensor, block: _Block) -> Tensor:
        widen, activation_1, middle, activation_2, narrow = block.layers
        if self.fast and not self.fused:  # the first bias costs nothing within the product
            inner = leaky_relu(self.pointwise(x, widen.weight, activation_1.bias), layers.LEAK, inplace=True)
        else:
            inner = self.activated(self.pointwise(x, widen.weight), activation_1.bias)
        inner = self.activated(self.grouped(inner, middle), activation_2.bias)
        return x + self.pointwise(inner, narrow.weight)

    def resampled(self, x: Tensor, module: _Resample) -> Tensor:
        changes = isinstance(module.channels, nn.Conv2d)
        if changes and module.up:
            x = self.pointwise(x, module.channels.weight)
        x = (layers.resample if self.fast else layers.plain_resample)(x, module.up)
        if changes and not module.up:
            x = self.pointwise(x, module.channels.weight)
        return x

    def placed(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def through(self, stages: nn.Sequential, x: Tensor, coarsest: int) -> Tensor:
        for module in stages:
            if not isinstance(module, _Block | _Resample | nn.Conv2d):
                x = module(x)
                continue
            side = max(module.size) if isinstance(module, _Resample) and module.up else x.shape[-1]
            x = self.placed(x.to(self.exact if side <= coarsest else self.dtype))
            if isinstance(module, _Block):
                x = self.block(x, module)
            elif isinstance(module, _Resample):
                x = self.resampled(x, module)
            elif module.kernel_size == (1, 1):
                x = self.pointwise(x, module.weight)
            else:  # depthwise, over all that is left
                x = (x * module.weight.squeeze(1)).sum((2, 3))
        return x


class Steps:
    """Both networks, their optimizers, an average of the generator and the step that trains them."""

    def __init__(
        self,
        way: Way,
        device: str,
        side: int,
        model: dict[str, Any],
        latent_dim: int = 64,
        micro_batches: int = 1,
        finite_differences: bool = False,
        gathered: bool = False,
    ) -> None:
        torch.manual_seed(0)
        self.way, self.device, self.latent_dim = way, device, latent_dim
        self.micro_batches, self.finite_differences, self.gathered = micro_batches, finite_differences, gathered
        self.generator = R3GANGenerator(latent_dim, (3, side, side), **model).to(device)
        self.discriminator = R3GANDiscriminator((3, side, side), **model).to(device)
        self.average = [parameter.detach().clone() for parameter in self.generator.parameters()]
        on_gpu = device != "cpu"
        self.optimizers = {
            network: torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.99), fused=on_gpu, capturable=on_gpu)
            for network in (self.generator, self.discriminator)
        }
        self.coarsest = self.generator.basis.shape[-1]
        self.random = torch.Generator(device)

    def generate(self, latents: Tensor) -> Tensor:
        start = self.generator.basis * self.generator.project(latents)[:, :, None, None]
        return self.way.through(self.generator.stages, start, self.coarsest).to(self.way.exact)

    def score(self, images: Tensor) -> Tensor:
        features = self.way.through(self.discriminator.stages, images, self.coarsest)
        return self.discriminator.head(features.to(self.way.exact)).squeeze(1)

    def discriminator_loss(self, reals: Tensor, fakes: Tensor) -> Tensor:
        images = [reals.detach(), fakes.detach()]
        if self.finite_differences:
            real_logits, fake_logits = logits = [self.score(x) for x in images]
            moved = [self.score(x + SIGMA * self._normal(x.shape)) for x in images]
            squares = sum(((b - a) / SIGMA).square() for a, b in zip(logits, moved, strict=True))
        else:
            real_logits, fake_logits = (self.score(x.requires_grad_()) for x in images)
            both = real_logits.sum() + fake_logits.sum()
            gradients = torch.autograd.grad(both, images, create_graph=True)
            squares = sum(gradient.square().flatten(1).sum(1) for gradient in gradients)
        return (softplus(fake_logits - real_logits) + GAMMA / 2 * squares).mean()

    def generator_loss(self, reals: Tensor, latents: Tensor) -> Tensor:
        with torch.no_grad():
            real_logits = self.score(reals)
        return softplus(real_logits - self.score(self.generate(latents))).mean()

    def step(self, reals: Tensor) -> None:
        parts = reals.chunk(self.micro_batches)
        with torch.no_grad():
            pairs = [(part, self.generate(latents)) for part, latents in zip(parts, self._latents(reals), strict=True)]
        self._update(self.discriminator, [partial(self.discriminator_loss, *pair) for pair in pairs])
        pairs = list(zip(parts, self._latents(reals), strict=True))
        self.discriminator.requires_grad_(False)
        self._update(self.generator, [partial(self.generator_loss, *pair) for pair in pairs])
        self.discriminator.requires_grad_(True)
        torch._foreach_lerp_(self.average, list(self.generator.parameters()), 0.001)

    def _latents(self, reals: Tensor) -> tuple[Tensor, ...]:
        return self._normal((len(reals), self.latent_dim)).chunk(self.micro_batches)

    def _normal(self, shape: Any) -> Tensor:
        return torch.randn(shape, generator=self.random, device=self.device)

    def _update(self, network: nn.Module, losses: list[Callable[[], Tensor]]) -> None:
        """By `torch.autograd.grad`: what accumulates into `.grad` remembers the stream of its first use."""
        parameters = list(network.parameters())
        total: list[Tensor] = []
        for loss in losses:
            gradients = list(torch.autograd.grad(loss() / len(losses), parameters))
            if total:
                torch._foreach_add_(total, gradients)
            total = total or gradients
        if self.gathered:
            vector = torch.cat([gradient.flatten() for gradient in total]).nan_to_num_(0, 1e5, -1e5)
            parts = vector.split([parameter.numel() for parameter in parameters])
            total = [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        self.optimizers[network].step()
