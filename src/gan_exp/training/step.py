"""One training step: the discriminator's updates, then the generator's. Tensors in, detached tensors out; no I/O.

V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]    (Goodfellow et al. 2014, equation 1; D maximises it, G minimises it)
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.data.packed import Batch, normalise
from gan_exp.penalties import PenaltyInputs
from gan_exp.training.parts import add_up, add_up_ranks, concatenate, one_by_one, std_over_ranks, total
from gan_exp.training.scoring import Scorer, make_images
from gan_exp.training.state import TrainingState, gradient_norm
from gan_exp.training.step_types import DiscriminatorReport, StepConfig, StepReport, UpdateInputs


class Shown(NamedTuple):
    """What D is shown in an update, or in a part of one."""

    inputs: UpdateInputs
    real_images: Tensor
    fake_images: Tensor
    scorer: Scorer


def train_step(
    state: TrainingState,
    config: StepConfig,
    discriminator_inputs: Sequence[UpdateInputs],
    generator_inputs: UpdateInputs,
) -> StepReport:
    """One update of D for each of `discriminator_inputs`, then one of G."""
    *earlier, last = discriminator_inputs
    reports = [update_discriminator(state, config, inputs) for inputs in earlier]
    fake_images = None
    if config.reuse_fakes:
        assert last.batch is not None
        generator_inputs = generator_inputs._replace(latents=last.latents, batch=last.batch)
        if len(last.split(config.micro_batch_size)) == 1:  # parts are made twice: a graph of all would fill the memory
            state.generator.train()
            fake_images = make_images(state, config, last.latents, _labels(config, last.batch))
    reports.append(update_discriminator(state, config, last, None if fake_images is None else fake_images.detach()))
    loss, norm = update_generator(state, config, generator_inputs, fake_images)
    state.step += 1
    return StepReport(reports, loss, norm)


def update_discriminator(
    state: TrainingState, config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None = None
) -> DiscriminatorReport:
    """Train D to distinguish real images [N, C, H, W] from `fake_images`, or from those that G makes of the latents."""
    if config.split_updates:
        report = _split_update(state, config, inputs, fake_images)
    else:
        state.discriminator_optimizer.zero_grad(set_to_none=True)
        parts = one_by_one(_parts(config, inputs, fake_images), state.generator, state.discriminator)
        whole_std = cache(partial(_std_of_reals, config, inputs))
        reports = []
        for part in parts:
            with state.spectral_norms.once():
                shown = _show(state, config, part, fake_images)
                reports.append(discriminator_gradients(config, shown, whole_std))
        report = add_up(config.ranks, inputs, state.discriminator_parameters, reports)
        norm = _apply_discriminator_gradients(state, config, inputs.measured)
        report = report._replace(gradient_norms=None if norm is None else norm.unsqueeze(0))
    update = state.images_seen // inputs.batch_size  # how many came before this one
    state.images_seen += inputs.batch_size
    if state.adaptive is not None:
        # without a boundary 0, as runs of before were begun: new ones are refused
        state.adaptive.observe(report.real_logits - (config.boundary or 0.0), inputs.batch_size, update)
    return report


def discriminator_gradients(
    config: StepConfig, shown: Shown, whole_std: Callable[[], Tensor] | None = None
) -> DiscriminatorReport:
    """Add the gradients of D's loss and penalty to D's parameters; reports what the rows add to the whole batch's.

    `whole_std` computes the standard deviation of the whole batch's reals, if the rows aren't all of it.
    """
    inputs, real_images, fake_images, scorer = shown
    weight = inputs.penalty_weight
    penalty = config.penalty if isinstance(weight, Tensor) or weight > 0 else None
    if penalty is not None:
        real_images.requires_grad_(penalty.at_reals)
        fake_images.requires_grad_(penalty.at_fakes)
    at_images = real_images.requires_grad or fake_images.requires_grad  # a gradient that the others need not have
    real_logits, extra, fake_logits = scorer.score_both(real_images, fake_images, apart=at_images)
    loss = total = inputs.mean(config.loss.discriminator(real_logits, fake_logits))
    auxiliary = value = None
    if extra is not None:
        auxiliary = inputs.mean(extra)
        total = total + auxiliary
        auxiliary = auxiliary.detach()
    if penalty is not None:
        std = None if inputs.rows is None else whole_std
        given = PenaltyInputs(partial(scorer.score, "penalty"), real_images, fake_images, real_logits, fake_logits, std)
        value = inputs.mean(penalty(given, inputs.part_rng_for))
        total = total + weight * value
        value = value.detach()
    total.backward()
    return DiscriminatorReport(loss.detach(), value, real_logits.detach(), fake_logits.detach(), auxiliary)


def update_generator(
    state: TrainingState, config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Train G so that D, which does not change, scores the images it makes of the latents as real.

    Returns the loss [] detached, and the norm [] of its gradients where that is `measured`. `fake_images` are those
    that G has made of the latents already.
    """
    state.generator.train()
    state.freeze_discriminator(True)
    state.generator_optimizer.zero_grad(set_to_none=True)
    parts = one_by_one(_parts(config, inputs, fake_images), state.generator, state.discriminator)
    losses = []
    for part in parts:
        with state.spectral_norms.once():
            losses.append(generator_gradients(state, config, part, fake_images))
    loss = total(losses)
    add_up_ranks(config.ranks, inputs, state.generator_parameters, [loss])
    norm = apply_gradients(state.generator_optimizer, state.generator_parameters, inputs.measured)
    state.freeze_discriminator(False)
    return loss, norm


def generator_gradients(
    state: TrainingState, config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None
) -> Tensor:
    """Add the gradients of G's loss to G's parameters; returns what the rows add to the whole batch's [], detached."""
    labels = None if inputs.batch is None else _labels(config, inputs.batch)
    if fake_images is None:
        fake_images = make_images(state, config, inputs.latents, labels)
    scorer = Scorer(state, config, labels, inputs.part_rng_for)
    fake_logits = scorer.score("fake", fake_images)
    real_logits = None
    if config.loss.needs_reals:
        assert inputs.batch is not None
        real_logits = scorer.score("real", normalise(inputs.batch.images))
    loss = inputs.mean(config.loss.generator(real_logits, fake_logits))
    loss.backward()
    return loss.detach()


def apply_gradients(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], measured: bool
) -> Tensor | None:
    """The optimizer's step; returns the norm [] of the gradients where it is `measured`."""
    norm = gradient_norm(parameters) if measured else None
    optimizer.step()
    return norm


def _apply_discriminator_gradients(state: TrainingState, config: StepConfig, measured: bool) -> Tensor | None:
    norm = apply_gradients(state.discriminator_optimizer, state.discriminator_parameters, measured)
    config.constrain_weights(state.discriminator_parameters)
    return norm


def _parts(config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None) -> list[UpdateInputs]:
    """The micro-batches; fakes that are there already stay together."""
    return inputs.split(config.micro_batch_size) if fake_images is None else [inputs]


def _split_update(
    state: TrainingState, config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None
) -> DiscriminatorReport:
    """The article's two updates: `train_on_batch` on reals, then on fakes."""
    parts = one_by_one(_parts(config, inputs, fake_images), state.generator)
    shown = [_show(state, config, part, fake_images) for part in parts]
    losses, logits, norms = [], [], []
    auxiliary = None
    for kind in ("real", "fake"):
        state.discriminator_optimizer.zero_grad(set_to_none=True)
        found = []
        for part in one_by_one(shown, state.discriminator):
            with state.spectral_norms.once():
                found.append(_split_gradients(config, part, kind))
        means = [total([loss for loss, _, _ in found])]
        if extra := [value for _, _, value in found if value is not None]:
            means.append(auxiliary := total(extra))
        scored = concatenate([scored for _, scored, _ in found])
        logits += add_up_ranks(config.ranks, inputs, state.discriminator_parameters, means, [scored])
        losses.append(means[0])
        norms.append(_apply_discriminator_gradients(state, config, inputs.measured))
    measured = [norm for norm in norms if norm is not None]
    real_logits, fake_logits = logits
    loss = (losses[0] + losses[1]) / 2
    return DiscriminatorReport(
        loss, None, real_logits, fake_logits, auxiliary, torch.stack(measured) if measured else None
    )


def _split_gradients(config: StepConfig, shown: Shown, kind: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """Add the gradients of one of the two terms to D's parameters.

    Returns the loss [], the logits, and D's own loss [] on reals, if it has one; all detached.
    """
    if kind == "real":
        logits, extra = shown.scorer.score_reals(shown.real_images)
    else:
        logits, extra = shown.scorer.score(kind, shown.fake_images), None
    loss = shown.inputs.mean(getattr(config.loss, kind)(logits))
    auxiliary = None if extra is None else shown.inputs.mean(extra)
    (loss if auxiliary is None else loss + auxiliary).backward()
    return loss.detach(), logits.detach(), None if auxiliary is None else auxiliary.detach()


def _show(state: TrainingState, config: StepConfig, inputs: UpdateInputs, fake_images: Tensor | None) -> Shown:
    """The reals, and `fake_images` or those that G makes of the latents."""
    assert inputs.batch is not None
    labels = _labels(config, inputs.batch)
    real_images = normalise(inputs.batch.images)
    if fake_images is None:
        with torch.no_grad():
            state.generator.train(not config.inference_fakes)
            fake_images = make_images(state, config, inputs.latents, labels)
    return Shown(inputs, real_images, fake_images, Scorer(state, config, labels, inputs.part_rng_for))


def _std_of_reals(config: StepConfig, inputs: UpdateInputs) -> Tensor:
    assert inputs.batch is not None
    return std_over_ranks(config.ranks, normalise(inputs.batch.images))


def _labels(config: StepConfig, batch: Batch) -> Tensor | None:
    return batch.labels if config.conditional else None
