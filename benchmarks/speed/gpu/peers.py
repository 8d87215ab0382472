"""Peers' training loops with gan-exp's networks and draws on the device: a plain PyTorch loop, and R3GAN's.

R3GAN's is written afresh after its description (Huang et al. 2024): bfloat16 but for the coarsest stage, NCHW, grouped
convolutions as torch has them, resampling by depthwise ones, gradients gathered into one vector in which what is not
finite is replaced.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, pad, softplus

from benchmarks.speed.gpu.package import Recipe
from gan_exp.data.packed import normalise
from gan_exp.models.r3gan import LEAK, _Block, _Resample

GAMMA = 0.05


class Draws:
    """Of one loop; both networks, in the layout that torch gives them."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.generator, self.discriminator = (
            network.to(memory_format=torch.contiguous_format) for network in recipe.networks(device)
        )
        self.images, self.random = recipe.noise(device), torch.Generator(device)

    def reals(self) -> Tensor:
        shape = (self.recipe.batch,)
        rows = torch.randint(len(self.images), shape, generator=self.random, device=self.device)
        return normalise(self.images[rows])

    def latents(self) -> Tensor:
        shape = (self.recipe.batch, self.recipe.latent_dim)
        return torch.randn(shape, generator=self.random, device=self.device)


class PlainLoop(Draws):
    """As tutorials have it: one loss of reals and fakes, torch's own Adam, and two `.item()` to be printed."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        super().__init__(recipe, device)
        networks = self.generator, self.discriminator
        self.of_g, self.of_d = (torch.optim.Adam(network.parameters(), 2e-4, recipe.betas) for network in networks)

    def __call__(self) -> tuple[float, float]:
        generator, discriminator, loss = self.generator, self.discriminator, self.recipe.config.loss
        for _ in range(self.recipe.n_critic):
            self.of_d.zero_grad()
            logits = discriminator(self.reals()), discriminator(generator(self.latents()).detach())
            of_discriminator = loss.discriminator(*logits).mean()
            of_discriminator.backward()
            self.of_d.step()
        self.of_g.zero_grad()
        of_generator = loss.generator(None, discriminator(generator(self.latents()))).mean()
        of_generator.backward()
        self.of_g.step()
        return of_discriminator.item(), of_generator.item()


class R3GANLoop(Draws):
    """A step of it."""

    def __init__(self, recipe: Recipe, device: str, dtype: torch.dtype | None = torch.bfloat16) -> None:
        super().__init__(recipe, device)
        self.dtype = dtype
        torch.backends.cudnn.benchmark = True
        self.average = [parameter.detach().clone() for parameter in self.generator.parameters()]
        self.optimizers = [
            torch.optim.Adam(n.parameters(), 2e-4, recipe.betas) for n in (self.generator, self.discriminator)
        ]

    def __call__(self) -> None:
        of_g, of_d = self.optimizers
        with torch.no_grad():
            fakes = self.generate()
        self.update(of_d, self.discriminator_loss(self.reals(), fakes))
        self.discriminator.requires_grad_(False)
        reals = self.reals()
        self.update(of_g, softplus(self.score(reals) - self.score(self.generate())).mean())
        self.discriminator.requires_grad_(True)
        torch._foreach_lerp_(self.average, list(self.generator.parameters()), 0.001)

    def generate(self) -> Tensor:
        generator = self.generator
        start = generator.basis * generator.project(self.latents())[:, :, None, None]
        return through(generator.stages, start, self.dtype).to(start.dtype)

    def score(self, images: Tensor) -> Tensor:
        logits: Tensor = self.discriminator.head(through(self.discriminator.stages, images, self.dtype).flatten(1))
        return logits.squeeze(1)

    def discriminator_loss(self, reals: Tensor, fakes: Tensor) -> Tensor:
        """RpGAN with exact R1 and R2."""
        images = [reals.detach().requires_grad_(), fakes.detach().requires_grad_()]
        real_logits, fake_logits = (self.score(each) for each in images)
        gradients = torch.autograd.grad(real_logits.sum() + fake_logits.sum(), images, create_graph=True)
        squares = [gradient.square().flatten(1).sum(1) for gradient in gradients]
        return (softplus(fake_logits - real_logits) + GAMMA / 2 * (squares[0] + squares[1])).mean()

    def update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        (parameters,) = (group["params"] for group in optimizer.param_groups)
        gradients = torch.autograd.grad(loss, parameters)
        vector = torch.cat([gradient.flatten() for gradient in gradients]).nan_to_num_(0, 1e5, -1e5)
        parts = vector.split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        optimizer.step()


def through(stages: nn.Sequential, features: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The `stages` of either network in torch's own layers, with a `dtype` all but the coarsest size in it."""
    sizes = [layer.size for layer in stages if isinstance(layer, _Resample)]
    up = next(layer.up for layer in stages if isinstance(layer, _Resample))
    coarsest = features.shape[2:] if up else torch.Size(sizes[-1])
    for layer in stages:
        size = torch.Size(layer.size) if isinstance(layer, _Resample) and layer.up else features.shape[2:]
        if dtype is not None:
            features = features.to(torch.float32 if size == coarsest else dtype)
        features = _layer(layer, features)
    return features


def _layer(layer: Any, features: Tensor) -> Tensor:
    def weighted(layer: Any, features: Tensor) -> Tensor:
        return conv2d(features, layer.weight.to(features.dtype), padding=layer.padding, groups=layer.groups)

    def activated(layer: Any, features: Tensor) -> Tensor:
        return leaky_relu(features + layer.bias.to(features.dtype).view(1, -1, 1, 1), LEAK)

    match layer:
        case _Block():
            widen, first, middle, second, narrow = layer.layers
            inner = activated(second, weighted(middle, activated(first, weighted(widen, features))))
            return features + weighted(narrow, inner)
        case _Resample():
            changes = isinstance(layer.channels, nn.Conv2d)
            if changes and layer.up:
                features = weighted(layer.channels, features)
            if not layer.up:
                features = pad(features, (0, features.shape[3] % 2, 0, features.shape[2] % 2))
            features = resampled(features, layer.up)[:, :, : layer.size[0], : layer.size[1]]
            return weighted(layer.channels, features) if changes and not layer.up else features
    return weighted(layer, features)


def resampled(features: Tensor, up: bool) -> Tensor:
    """The filter [1, 3, 3, 1] as a depthwise convolution; sides must be even."""
    count = features.shape[1]
    taps = features.new_tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
    kernel = torch.outer(taps, taps).expand(count, 1, 4, 4)
    return (conv_transpose2d if up else conv2d)(features, kernel, stride=2, padding=1, groups=count)
