"""The step of a game between two chains of plain layers, with the backward pass derived by hand (see `chain.py`).

What it saves besides autograd's bookkeeping: D sees reals and fakes in one pass, G makes the fakes for D's updates and
its own in one pass, and Adam finds its tensors where they were. The same game to rounding: sums are added up in another
order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gan_exp.data.packed import normalise
from gan_exp.losses import Minimax, NonSaturating
from gan_exp.optimizers import quick_step
from gan_exp.training.acceleration.manual_check import chains_of
from gan_exp.training.acceleration.manual_layers import Batching
from gan_exp.training.state import TrainingState, gradient_norm
from gan_exp.training.step import DiscriminatorReport, Rules, StepReport, Turn

# Exactly these: a loss derived from them may be another one.
SLOPED = (NonSaturating, Minimax)

Term = Callable[[Tensor], tuple[Tensor, Tensor]]  # logits [N] -> the mean loss [] and its gradient [N]


class DerivedPlayer:
    """Plays steps as `play_step` does. Raises ValueError where it can't, with the reason in a few words."""

    def __init__(self, state: TrainingState, rules: Rules) -> None:
        if reason := _unfit(state, rules):
            raise ValueError(reason)
        self._state, self._rules = state, rules
        self._generator, self._discriminator = chains_of(state.generator, state.discriminator)
        if self._discriminator.normalises:
            raise ValueError("a discriminator with BatchNorm sees reals and fakes apart")
        self._terms = _terms(rules.loss)
        self._move_discriminator = quick_step(state.discriminator_optimizer)
        self._move_generator = quick_step(state.generator_optimizer)

    @torch.no_grad()
    def __call__(self, turns: Sequence[Turn], generator_turn: Turn) -> StepReport:
        state, rules = self._state, self._rules
        fresh = [] if rules.reuse_fakes else [generator_turn.latents]
        latents = [turn.latents for turn in turns] + fresh
        size = len(latents[0])
        made = self._generator.forward(torch.cat(latents), Batching(size, rules.inference_fakes)).split(size)
        reports = [self._train_discriminator(turn, fakes) for turn, fakes in zip(turns, made, strict=False)]

        logits = self._judge(made[-1])
        loss, slope = self._terms["generator"](logits)
        to_images = self._discriminator.backward(slope.unsqueeze(1), to_weights=False, to_inputs=True)
        assert to_images is not None
        self._generator.backward(to_images)
        norm = gradient_norm(state.generator_parameters) if generator_turn.measured else None
        self._move_generator()
        state.step += 1
        return StepReport(reports, loss, norm)

    def _train_discriminator(self, turn: Turn, fake_images: Tensor) -> DiscriminatorReport:
        assert turn.batch is not None
        real_images = normalise(turn.batch.images)
        self._state.images_seen += len(real_images)
        if self._rules.split_updates:
            update = partial(self._update_discriminator, measured=turn.measured)
            real_loss, real_logits, real_norm = update(self._terms["real"], real_images)
            fake_loss, fake_logits, fake_norm = update(self._terms["fake"], fake_images)
            norms = [norm for norm in (real_norm, fake_norm) if norm is not None]
            loss = (real_loss + fake_loss) / 2
        else:
            both = torch.cat([real_images, fake_images])
            loss, logits, norm = self._update_discriminator(self._terms["both"], both, turn.measured)
            real_logits, fake_logits = logits.chunk(2)
            norms = [] if norm is None else [norm]
        return DiscriminatorReport(loss, None, real_logits, fake_logits, torch.stack(norms) if norms else None)

    def _update_discriminator(self, term: Term, images: Tensor, measured: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """One update; the mean loss, the logits and the gradients' norm where it is `measured`."""
        logits = self._judge(images)
        loss, slope = term(logits)
        self._discriminator.backward(slope.unsqueeze(1))
        norm = gradient_norm(self._state.discriminator_parameters) if measured else None
        self._move_discriminator()
        self._state.clip_weights()
        return loss, logits, norm

    def _judge(self, images: Tensor) -> Tensor:
        return self._discriminator.forward(images, Batching(len(images))).squeeze(1)


def _terms(loss: Any) -> dict[str, Term]:
    """Of the losses for reals, for fakes, for both of D's, and for G, those that `loss` has."""
    values: dict[str, Callable[[Tensor], Tensor]] = {
        "generator": partial(loss.generator, None),
        "both": lambda logits: loss.discriminator(*logits.chunk(2)),
    }
    values |= {name: getattr(loss, name) for name in ("real", "fake") if hasattr(loss, name)}
    if type(loss) not in SLOPED:
        return {name: partial(_differentiated, value) for name, value in values.items()}
    slopes = {"real": loss.real_slope, "fake": loss.fake_slope, "generator": loss.generator_slope}

    def slope_of_both(logits: Tensor) -> Tensor:
        real_logits, fake_logits = logits.chunk(2)
        return torch.cat([loss.real_slope(real_logits), loss.fake_slope(fake_logits)])

    slopes["both"] = slope_of_both
    return {name: partial(_in_closed_form, value, slopes[name]) for name, value in values.items()}


def _in_closed_form(
    value_of: Callable[[Tensor], Tensor], slope_of: Callable[[Tensor], Tensor], logits: Tensor
) -> tuple[Tensor, Tensor]:
    values = value_of(logits)
    return values.mean(), slope_of(logits).div_(len(values))


def _differentiated(value_of: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    """By autograd: so that any loss may be played for."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        loss = value_of(leaf).mean()
        (slope,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), slope


def _unfit(state: TrainingState, rules: Rules) -> str | None:
    if rules.penalty is not None:
        return "a gradient penalty needs second derivatives"
    if rules.conditional:
        return "the networks are told labels"
    if rules.loss.needs_reals:
        return "the generator's loss compares with reals"
    if state.augment is not None or rules.instance_noise > 0:
        return "the discriminator sees changed images"
    if rules.pac > 1:
        return "the discriminator sees several images at once"
    return None
