"""One step of the game: the discriminator's update, then the generator's. Tensors in, detached tensors out; no I/O.

V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]    (Goodfellow et al. 2014, equation 1; D raises it, G lowers it)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan_exp.augment import ADA
from gan_exp.data.packed import Batch, normalise
from gan_exp.losses import Balance
from gan_exp.models.sampling import generate
from gan_exp.penalties import Critique, Draw
from gan_exp.training.state import TrainingState


def no_randomness(purpose: str) -> torch.Generator:
    """For games whose D sees the images as they are, and whose penalty draws nothing."""
    raise ValueError(f"this game draws random numbers for {purpose}: pass `draw`")


class Loss(Protocol):
    """Per-sample values [N]; see `losses.py`."""

    needs_reals: bool

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...
    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor: ...


class Penalty(Protocol):
    """Per-logit values [N]; see `penalties.py`."""

    at_reals: bool
    at_fakes: bool

    def __call__(self, critique: Critique, draw: Draw) -> Tensor: ...


@dataclass(frozen=True)
class Rules:
    """What stays the same throughout a game."""

    loss: Loss
    penalty: Penalty | None = None
    conditional: bool = False  # both networks are told the labels
    pac: int = 1  # images that D judges together, side by side in channels (Lin et al. 2018, "PacGAN")
    instance_noise: float = 0.0  # standard deviation of noise on all that D sees (Sonderby et al. 2017)
    split_updates: bool = False  # D takes one update on reals and one on fakes, instead of one on their sum
    inference_fakes: bool = False  # G makes D's fakes in inference mode (BatchNorm's moving averages)
    reuse_fakes: bool = False  # G is judged by the fakes that D was just trained on: one forward of G less

    @property
    def balance(self) -> Balance:
        """The loss's, as the losses are reported: `split_updates` reports the mean of D's two terms, not their sum."""
        balance: Balance = getattr(self.loss, "balance", Balance())
        if self.split_updates and balance.discriminator is not None:
            return balance._replace(discriminator=balance.discriminator / 2)
        return balance


class Turn(NamedTuple):
    """What one update is given."""

    latents: Tensor  # [N, latent_dim]
    batch: Batch | None = None  # always D's; G's where its loss compares with reals or the game is conditional
    draw: Draw = no_randomness
    penalty_weight: float | Tensor = 1.0  # 0: this update has no penalty; on the device ([]) it is above 0
    measured: bool = False  # the norms of the gradients are reported: 5 % of a step of the article's, were it each one


class DiscriminatorReport(NamedTuple):
    loss: Tensor  # the mean over D's updates, without the penalty
    penalty: Tensor | None
    real_logits: Tensor  # [N / pac]
    fake_logits: Tensor  # [N / pac]
    gradient_norms: Tensor | None = None  # [1], of split updates [2]; None where they were not measured


class StepReport(NamedTuple):
    discriminator: list[DiscriminatorReport]  # of each update
    generator_loss: Tensor
    generator_gradient_norm: Tensor | None = None  # []


Player = Callable[[Sequence[Turn], Turn], StepReport]  # plays one step; `play_step` of a state is the plain one


def play_step(state: TrainingState, rules: Rules, turns: Sequence[Turn], generator_turn: Turn) -> StepReport:
    """D's updates, one for each of `turns`, then G's."""
    reports, shared = [], None
    for number, turn in enumerate(turns, start=1):
        latents, batch = turn.latents, turn.batch
        assert batch is not None
        if rules.reuse_fakes and number == len(turns):
            state.generator.train()
            shared = generate(state.generator, latents, batch.labels if rules.conditional else None)
            generator_turn = generator_turn._replace(batch=batch)
        made = None if shared is None else shared.detach()
        reports.append(
            discriminator_step(state, rules, batch, latents, turn.draw, turn.penalty_weight, made, turn.measured)
        )
        if isinstance(state.augment, ADA):
            update = state.images_seen // len(latents) - 1
            state.augment.observe(reports[-1].real_logits, len(latents), update)
    latents, batch, draw, _, measured = generator_turn
    loss, norm = generator_step(state, rules, latents, draw, batch, shared, measured)
    state.step += 1
    return StepReport(reports, loss, norm)


def discriminator_step(
    state: TrainingState,
    rules: Rules,
    batch: Batch,
    latents: Tensor,
    draw: Draw = no_randomness,
    penalty_weight: float | Tensor = 1.0,
    fake_images: Tensor | None = None,
    measured: bool = False,
) -> DiscriminatorReport:
    """Train D to tell `batch.images` [N, C, H, W] from what G makes, or has made, of `latents` [N, latent_dim]."""
    labels = batch.labels if rules.conditional else None
    real_images = normalise(batch.images)
    if fake_images is None:
        with torch.no_grad():
            state.generator.train(not rules.inference_fakes)
            fake_images = generate(state.generator, latents, labels)
    state.images_seen += len(real_images)
    critic = partial(_score, state, rules, labels, draw)
    if rules.split_updates:
        return _split_updates(state, rules, real_images, fake_images, critic, measured)

    penalty = rules.penalty if isinstance(penalty_weight, Tensor) or penalty_weight > 0 else None
    if penalty is not None:
        real_images.requires_grad_(penalty.at_reals)
        fake_images.requires_grad_(penalty.at_fakes)
    real_logits, fake_logits = critic("real", real_images), critic("fake", fake_images)
    loss = total = rules.loss.discriminator(real_logits, fake_logits).mean()
    value = None
    if penalty is not None:
        critique = Critique(partial(critic, "penalty"), real_images, fake_images, real_logits, fake_logits)
        value = penalty(critique, draw).mean()
        total = loss + penalty_weight * value
        value = value.detach()
    norm = state.update_discriminator(total, measured)
    norms = None if norm is None else norm.unsqueeze(0)
    return DiscriminatorReport(loss.detach(), value, real_logits.detach(), fake_logits.detach(), norms)


def generator_step(
    state: TrainingState,
    rules: Rules,
    latents: Tensor,
    draw: Draw = no_randomness,
    batch: Batch | None = None,
    fake_images: Tensor | None = None,
    measured: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Train G to make D, which stands still, take what it makes of `latents` for real.

    Returns the loss [] detached, and the norm [] of its gradients where that is `measured`.
    `batch` is needed where the loss compares with reals, and for its labels where the game is conditional.
    """
    labels = batch.labels if batch is not None and rules.conditional else None
    state.generator.train()
    state.freeze_discriminator(True)
    if fake_images is None:
        fake_images = generate(state.generator, latents, labels)
    fake_logits = _score(state, rules, labels, draw, "fake", fake_images)
    real_logits = None
    if rules.loss.needs_reals:
        assert batch is not None
        real_logits = _score(state, rules, labels, draw, "real", normalise(batch.images))
    loss = rules.loss.generator(real_logits, fake_logits).mean()
    norm = state.update_generator(loss, measured)
    state.freeze_discriminator(False)
    return loss.detach(), norm


def _score(state: TrainingState, rules: Rules, labels: Tensor | None, draw: Draw, kind: str, images: Tensor) -> Tensor:
    """D's logits [N / pac], through augmentation, noise and packing."""
    if state.augment is not None:
        images = state.augment(images, draw(f"augment/{kind}"))
    if rules.instance_noise > 0:
        noise = torch.randn(images.shape, generator=draw(f"noise/{kind}"), device=images.device)
        images = images + rules.instance_noise * noise
    if rules.pac > 1:
        images = images.reshape(len(images) // rules.pac, -1, *images.shape[2:])
    logits: Tensor = state.discriminator(images) if labels is None else state.discriminator(images, labels)
    return logits


def _split_updates(
    state: TrainingState,
    rules: Rules,
    real_images: Tensor,
    fake_images: Tensor,
    critic: Callable[[str, Tensor], Tensor],
    measured: bool,
) -> DiscriminatorReport:
    """The article's two updates: `train_on_batch` on reals, then on fakes."""
    real_logits = critic("real", real_images)
    real_loss = rules.loss.real(real_logits).mean()  # type: ignore[attr-defined]  # checked with the configuration
    real_norm = state.update_discriminator(real_loss, measured)
    fake_logits = critic("fake", fake_images)
    fake_loss = rules.loss.fake(fake_logits).mean()  # type: ignore[attr-defined]
    fake_norm = state.update_discriminator(fake_loss, measured)
    loss = (real_loss + fake_loss).detach() / 2
    norms = None if real_norm is None or fake_norm is None else torch.stack([real_norm, fake_norm])
    return DiscriminatorReport(loss, None, real_logits.detach(), fake_logits.detach(), norms)
