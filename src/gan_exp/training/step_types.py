"""What a training step is given and what it returns."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gan_exp.data.packed import Batch
from gan_exp.losses import Balance
from gan_exp.penalties import PenaltyInputs, RngFor
from gan_exp.runtime.randomness import PartRng, Rows
from gan_exp.runtime.ranks import ALONE, Ranks
from gan_exp.training.precision import Precision


def no_rng(purpose: str) -> torch.Generator:
    """For steps in which D sees the images as they are and the penalty draws nothing."""
    raise ValueError(f"this step draws random numbers for {purpose}: pass `rng_for`")


class Loss(Protocol):
    """Per-sample values [N]; see `losses.py`."""

    needs_reals: bool

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...
    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor: ...


class Penalty(Protocol):
    """Per-logit values [N]; see `penalties.py`."""

    at_reals: bool
    at_fakes: bool

    def __call__(self, inputs: PenaltyInputs, rng_for: RngFor) -> Tensor: ...


@dataclass(frozen=True)
class StepConfig:
    """What is the same in every step of a run."""

    loss: Loss
    penalty: Penalty | None = None
    conditional: bool = False  # both networks are given the labels
    pac: int = 1  # images that D scores together, side by side in channels (Lin et al. 2018, "PacGAN")
    instance_noise: float = 0.0  # standard deviation of noise on all that D sees (Sonderby et al. 2017)
    split_updates: bool = False  # D takes one update on reals and one on fakes, instead of one on their sum
    inference_fakes: bool = False  # G makes D's fakes in inference mode (BatchNorm's moving averages)
    reuse_fakes: bool = False  # G is updated on the fakes of D's last update: one forward pass of G less
    micro_batch_size: int | None = None  # the most images that go through the networks at once; None: no limit
    ranks: Ranks = ALONE  # the processes that share each batch
    checkpointing: bool = False  # the networks compute their activations twice instead of keeping them
    precision: Precision = "float32"  # of the networks' arithmetic

    @property
    def parts(self) -> str | None:
        """The reason, as half a sentence, why a step that knows whole batches only can't be used; None if it can."""
        if self.ranks.count > 1:
            return f"each batch is divided over {self.ranks.count} processes"
        if self.micro_batch_size is not None:
            return "a batch goes through the networks in parts"
        return "activations are computed twice" if self.checkpointing else None

    @property
    def balance(self) -> Balance:
        """The loss's, as the losses are reported: `split_updates` reports the mean of D's two terms, not their sum."""
        balance: Balance = getattr(self.loss, "balance", Balance())
        if self.split_updates and balance.discriminator is not None:
            return balance._replace(discriminator=balance.discriminator / 2)
        return balance

    @property
    def boundary(self) -> float | None:
        """The logit that parts reals from fakes; None where only the difference of logits means something."""
        boundary: float | None = getattr(self.loss, "boundary", 0.0)
        return boundary

    @property
    def generator_needs_batch(self) -> bool:
        """G's update needs real images to compare with, or labels."""
        return self.loss.needs_reals or self.conditional

    def constrain_weights(self, parameters: Iterable[nn.Parameter]) -> None:
        """After each update of D, if the loss bounds D by its weights (weight clipping)."""
        constrain = getattr(self.loss, "constrain_weights", None)
        if constrain is not None:
            constrain(parameters)


class UpdateInputs(NamedTuple):
    """The data and the random numbers of one update, or of a part of its batch.

    The latents and the batch are those of `rows`. `rng_for` gives the generators of the whole batch, `part_rng_for`
    those of the rows.
    """

    latents: Tensor  # [N, latent_dim]
    batch: Batch | None = None  # always for D; for G where `generator_needs_batch`
    rng_for: RngFor = no_rng
    penalty_weight: float | Tensor = 1.0  # 0: this update has no penalty; on the device ([]) it is above 0
    measured: bool = False  # report the gradients' norm: at every step it would take 5 % of the article's time
    rows: Rows | None = None  # None: the whole batch

    @property
    def batch_size(self) -> int:
        """Of the whole batch."""
        return len(self.latents) if self.rows is None else self.rows.whole

    def mean(self, values: Tensor) -> Tensor:
        """What these rows' `values` add to the mean [] over the whole batch."""
        return values.mean() if self.rows is None else values.mean() * self.rows.share

    def part_rng_for(self, purpose: str) -> torch.Generator:
        rng = self.rng_for(purpose)
        return rng if self.rows is None else PartRng.of(rng, self.rows)

    def split(self, size: int | None) -> "list[UpdateInputs]":
        """In parts of at most `size` rows."""
        count = len(self.latents)
        if size is None or size >= count:
            return [self]
        return [self._part(start, min(start + size, count)) for start in range(0, count, size)]

    def _part(self, start: int, stop: int) -> "UpdateInputs":
        batch, rows = self.batch, self.rows or Rows(0, len(self.latents), len(self.latents))
        if batch is not None:
            labels = None if batch.labels is None else batch.labels[start:stop]
            batch = Batch(batch.images[start:stop], labels)
        return self._replace(latents=self.latents[start:stop], batch=batch, rows=rows.inner(start, stop))


class DiscriminatorReport(NamedTuple):
    loss: Tensor  # the mean over D's updates, without the penalty and the auxiliary loss
    penalty: Tensor | None
    real_logits: Tensor  # [N / pac]
    fake_logits: Tensor  # [N / pac]
    auxiliary: Tensor | None = None  # the mean of D's own loss on reals, if D has one
    gradient_norms: Tensor | None = None  # [1], of split updates [2]; None if they were not measured


class StepReport(NamedTuple):
    discriminator: list[DiscriminatorReport]  # of each update
    generator_loss: Tensor
    generator_gradient_norm: Tensor | None = None  # []


# Takes the inputs of D's updates and of G's; `train_step` with a state and a StepConfig is the plain one.
StepFn = Callable[[Sequence[UpdateInputs], UpdateInputs], StepReport]
