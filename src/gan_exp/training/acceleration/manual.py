"""The training step of two networks of plain layers, with a manual backward pass (see `manual_layers.py`).

It saves autograd's bookkeeping; besides, D scores reals and fakes in one pass, G makes the fakes for D's updates and
for its own in one pass, and Adam finds its tensors where they were. Up to rounding its numbers are those of
`train_step`: sums are added up in another order. A step in which a lazy penalty is due needs second derivatives, and
is left to `train_step`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_exp.data.packed import normalise
from gan_exp.losses import Minimax, NonSaturating
from gan_exp.training.acceleration.fused_adam import fused_step
from gan_exp.training.acceleration.manual_check import manual_networks
from gan_exp.training.acceleration.manual_layers import Batching
from gan_exp.training.state import TrainingState, gradient_norm
from gan_exp.training.step import train_step
from gan_exp.training.step_types import DiscriminatorReport, StepConfig, StepReport, UpdateInputs

# Exactly these: a subclass may compute another loss.
CLOSED_FORM = (NonSaturating, Minimax)

Term = Callable[[Tensor], tuple[Tensor, Tensor]]  # logits [N] -> the mean loss [] and its gradient [N]


class ManualStep:
    """A StepFn. Raises ValueError, with the reason in a few words, where the networks or `config` don't allow it."""

    def __init__(self, state: TrainingState, config: StepConfig) -> None:
        if reason := _unfit(state, config):
            raise ValueError(reason)
        self._state, self._config = state, config
        self._generator, self._discriminator = manual_networks(state.generator, state.discriminator)
        if self._discriminator.normalises:
            raise ValueError("a discriminator with BatchNorm sees reals and fakes apart")
        self._terms = _terms(config.loss)
        self._step_discriminator = fused_step(state.discriminator_optimizer)
        self._step_generator = fused_step(state.generator_optimizer)

    def __call__(self, discriminator_inputs: Sequence[UpdateInputs], generator_inputs: UpdateInputs) -> StepReport:
        if self._config.penalty is None or all(inputs.penalty_weight == 0 for inputs in discriminator_inputs):
            return self._train_step(discriminator_inputs, generator_inputs)
        with _gradients_kept_in_place([*self._state.generator.parameters(), *self._state.discriminator.parameters()]):
            return train_step(self._state, self._config, discriminator_inputs, generator_inputs)

    @torch.no_grad()
    def _train_step(self, discriminator_inputs: Sequence[UpdateInputs], generator_inputs: UpdateInputs) -> StepReport:
        state, config = self._state, self._config
        fresh = [] if config.reuse_fakes else [generator_inputs.latents]
        latents = [inputs.latents for inputs in discriminator_inputs] + fresh
        size = len(latents[0])
        made = self._generator.forward(torch.cat(latents), Batching(size, config.inference_fakes)).split(size)
        reports = [
            self._train_discriminator(inputs, fakes) for inputs, fakes in zip(discriminator_inputs, made, strict=False)
        ]

        logits = self._score(made[-1])
        loss, gradient = self._terms["generator"](logits)
        to_images = self._discriminator.backward(gradient.unsqueeze(1), to_weights=False, to_inputs=True)
        assert to_images is not None
        self._generator.backward(to_images)
        norm = gradient_norm(state.generator_parameters) if generator_inputs.measured else None
        self._step_generator()
        state.step += 1
        return StepReport(reports, loss, norm)

    def _train_discriminator(self, inputs: UpdateInputs, fake_images: Tensor) -> DiscriminatorReport:
        assert inputs.batch is not None
        real_images = normalise(inputs.batch.images)
        self._state.images_seen += len(real_images)
        if self._config.split_updates:
            update = partial(self._update_discriminator, measured=inputs.measured)
            real_loss, real_logits, real_norm = update(self._terms["real"], real_images)
            fake_loss, fake_logits, fake_norm = update(self._terms["fake"], fake_images)
            norms = [norm for norm in (real_norm, fake_norm) if norm is not None]
            loss = (real_loss + fake_loss) / 2
        else:
            both = torch.cat([real_images, fake_images])
            loss, logits, norm = self._update_discriminator(self._terms["both"], both, inputs.measured)
            real_logits, fake_logits = logits.chunk(2)
            norms = [] if norm is None else [norm]
        return DiscriminatorReport(
            loss, None, real_logits, fake_logits, gradient_norms=torch.stack(norms) if norms else None
        )

    def _update_discriminator(self, term: Term, images: Tensor, measured: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """One update. Returns the mean loss, the logits, and the gradients' norm where it is `measured`."""
        logits = self._score(images)
        loss, gradient = term(logits)
        self._discriminator.backward(gradient.unsqueeze(1))
        norm = gradient_norm(self._state.discriminator_parameters) if measured else None
        self._step_discriminator()
        self._config.constrain_weights(self._state.discriminator_parameters)
        return loss, logits, norm

    def _score(self, images: Tensor) -> Tensor:
        return self._discriminator.forward(images, Batching(len(images))).squeeze(1)


def _terms(loss: Any) -> dict[str, Term]:
    """D's loss on reals, on fakes and on both, and G's loss; without the first two where `loss` lacks them."""
    values: dict[str, Callable[[Tensor], Tensor]] = {
        "generator": partial(loss.generator, None),
        "both": lambda logits: loss.discriminator(*logits.chunk(2)),
    }
    values |= {name: getattr(loss, name) for name in ("real", "fake") if hasattr(loss, name)}
    if type(loss) not in CLOSED_FORM:
        return {name: partial(_differentiated, value) for name, value in values.items()}
    gradients = {"real": loss.real_gradient, "fake": loss.fake_gradient, "generator": loss.generator_gradient}

    def gradient_of_both(logits: Tensor) -> Tensor:
        real_logits, fake_logits = logits.chunk(2)
        return torch.cat([loss.real_gradient(real_logits), loss.fake_gradient(fake_logits)])

    gradients["both"] = gradient_of_both
    return {name: partial(_in_closed_form, value, gradients[name]) for name, value in values.items()}


def _in_closed_form(
    value_of: Callable[[Tensor], Tensor], gradient_of: Callable[[Tensor], Tensor], logits: Tensor
) -> tuple[Tensor, Tensor]:
    values = value_of(logits)
    return values.mean(), gradient_of(logits).div_(len(values))


def _differentiated(value_of: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    """By autograd, for any other loss."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        loss = value_of(leaf).mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient


@contextmanager
def _gradients_kept_in_place(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Autograd makes new tensors for gradients; the manual layers and the fused Adam know the old ones."""
    gradients = [parameter.grad for parameter in parameters]
    try:
        yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient


def _unfit(state: TrainingState, config: StepConfig) -> str | None:
    if config.conditional:
        return "the networks are given labels"
    if config.loss.needs_reals:
        return "the generator's loss compares with reals"
    if state.augment is not None or config.instance_noise > 0:
        return "the discriminator sees changed images"
    if config.pac > 1:
        return "the discriminator sees several images at once"
    if config.precision == "bf16":
        return "the networks compute in bfloat16"
    return None
