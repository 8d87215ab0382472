"""Everything that training changes: both networks, the averaged generator, the optimizers and the step counts."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gan_exp.augment import Adaptive
from gan_exp.models.parts import HasAuxiliaryLoss
from gan_exp.models.spectral import SpectralNorms

LARGEST_BETA = 0.9999  # a schedule must not bring beta2 to 1, where Adam's average of squares would not change any more


@dataclass
class TrainingState:
    """Without an average `generator_ema` is `generator` itself. A step is one generator update."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    augment: nn.Module | None = None  # of D's inputs: (images, rng) -> images; an adaptive one has state
    step: int = 0
    images_seen: int = 0  # real images shown to the discriminator

    def __post_init__(self) -> None:
        # Parameters that are frozen from the start, such as those of a pretrained backbone, are not trained.
        self.generator_parameters, self.discriminator_parameters = (
            [parameter for parameter in network.parameters() if parameter.requires_grad]
            for network in (self.generator, self.discriminator)
        )
        self.spectral_norms = SpectralNorms(self.discriminator)
        self.adaptive = self.augment if isinstance(self.augment, Adaptive) else None  # asking takes 25 us
        self.scores_each_alone = _scores_each_alone(self.discriminator)
        both = zip(self.generator_ema.parameters(), self.generator.parameters(), strict=True)
        weights = [average for average, current in both if current.requires_grad]
        statistics, buffers = _buffers(self.generator_ema)
        current_statistics, current_buffers = _buffers(self.generator)
        self._averaged = [*weights, *statistics], [*self.generator_parameters, *current_statistics]
        self._copied = buffers, current_buffers

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The two that are trained."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def tensors(self) -> list[Tensor]:
        """The networks' weights and buffers, those of the average included."""
        networks = [self.generator, self.discriminator, *([self.generator_ema] if self.averages else [])]
        return [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]

    @property
    def averages(self) -> bool:
        return self.generator_ema is not self.generator

    def freeze_discriminator(self, frozen: bool) -> None:
        """While D is frozen, G's update does not compute the gradients of D's weights."""
        for parameter in self.discriminator_parameters:
            parameter.requires_grad_(not frozen)

    @torch.no_grad()
    def update_ema(self, halflife_images: float, batch_size: int, ramp_up: float | None = None) -> None:
        """Move the average towards G by 1 - 0.5^(batch / half-life): weights, BatchNorm's moving means and variances.

        The statistics of G itself don't fit the averaged weights: with them `mlp` is up to 27 % farther from the digits
        (docs/configuration.md). Statistics of fresh forward passes would gain a few percent more, and cost these passes
        before each use. Other buffers are copied (EDM, StyleGAN2).

        With `ramp_up` the half-life is at most this share of the images seen (StyleGAN2-ADA: 0.05), so that the
        untrained beginning fades quickly even with a long half-life.
        """
        if not self.averages:
            return
        if ramp_up is not None:
            halflife_images = min(halflife_images, ramp_up * self.step * batch_size)
        halflife = max(halflife_images, 1e-8)
        average = get_ema_multi_avg_fn(0.5 ** (batch_size / halflife))
        average(*self._averaged, None)
        if self._copied[0]:
            torch._foreach_copy_(*self._copied)

    def scale_optimizers(self, lr: float, beta2: float) -> None:
        """Set both optimizers' learning rates and beta2 to multiples of their initial values."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr
                if "betas" in group:
                    beta1, initial = group.setdefault("initial_betas", group["betas"])
                    group["betas"] = (beta1, min(initial * beta2, max(initial, LARGEST_BETA)))

    def digest(self) -> int:
        """63 bits that differ where any weight of the two networks does."""
        found = hashlib.blake2b(digest_size=8)
        for network in self.networks.values():
            for parameter in network.parameters():
                found.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return int.from_bytes(found.digest(), "little") >> 1

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors only, so that a checkpoint loads without unpickling code."""
        state: dict[str, Any] = {
            "step": self.step,
            "images_seen": self.images_seen,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
        }
        if self.averages:
            state["generator_ema"] = self.generator_ema.state_dict()
            if self.tensors[0].device.type not in ("cuda", "meta"):  # CUDA would be waited for at each tensor
                share_equal(state["generator_ema"], state["generator"])
        if self.augment is not None:
            state["augment"] = self.augment.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        if self.averages:
            self.generator_ema.load_state_dict(state["generator_ema"])
        if self.augment is not None:
            self.augment.load_state_dict(state["augment"])
        self.step = state["step"]
        self.images_seen = state["images_seen"]


def share_equal(average: dict[str, Tensor], current: dict[str, Tensor]) -> None:
    """Put `current`'s tensors in the place of equal ones, as all are before the first step: a file holds them once."""
    for name, value in average.items():
        if torch.equal(value, current[name]):
            average[name] = current[name]


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm [] of the gradients of the last backward pass, without waiting for the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _scores_each_alone(discriminator: nn.Module) -> bool:
    """Whether it says that each logit depends on its own image; what a subclass has added may say otherwise."""
    normalises = any(isinstance(layer, _BatchNorm) for layer in discriminator.modules())
    more = normalises or isinstance(discriminator, HasAuxiliaryLoss)
    return bool(getattr(discriminator, "per_image", False)) and not more


def _buffers(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The moving means and variances of BatchNorm, and all other buffers."""
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    statistics = {id(tensor) for norm in norms for tensor in (norm.running_mean, norm.running_var)}
    chosen = [tensor for tensor in network.buffers() if id(tensor) in statistics]
    return chosen, [tensor for tensor in network.buffers() if id(tensor) not in statistics]
