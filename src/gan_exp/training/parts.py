"""A batch in parts, which together do what the whole batch does: their gradients and reports add up.

The parts are micro-batches, one after the other, or those of several ranks, or both.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_exp.runtime.ranks import Ranks
from gan_exp.training.step_types import DiscriminatorReport, UpdateInputs

Part = TypeVar("Part")


def one_by_one(parts: Sequence[Part], *networks: nn.Module) -> Iterator[Part]:
    """The parts, each of which finds the networks' buffers as the first did: one update moves them once.

    Such buffers are the vectors of spectral normalisation, which each forward pass turns. BatchNorm's are left alone:
    each part moves them by its own statistics.
    """
    if len(parts) == 1:
        yield parts[0]
        return
    kept = _copies(networks)
    for part in parts:
        for buffer, value in kept:
            buffer.copy_(value)
        yield part


def _copies(networks: Iterable[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    layers = [layer for network in networks for layer in network.modules() if not isinstance(layer, _BatchNorm)]
    return [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers(recurse=False)]


def total(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).sum(0)


def concatenate(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.cat(list(values))


def add_up(
    ranks: Ranks, inputs: UpdateInputs, parameters: Sequence[nn.Parameter], reports: Sequence[DiscriminatorReport]
) -> DiscriminatorReport:
    """The report on an update from those on its parts, on all ranks; the gradients of all are added up too."""
    if len(reports) == ranks.count == 1:
        return reports[0]
    penalties = [report.penalty for report in reports if report.penalty is not None]
    auxiliaries = [report.auxiliary for report in reports if report.auxiliary is not None]
    means = [total(values) for values in ([report.loss for report in reports], penalties, auxiliaries) if values]
    real_logits = concatenate([report.real_logits for report in reports])
    fake_logits = concatenate([report.fake_logits for report in reports])
    real_logits, fake_logits = add_up_ranks(ranks, inputs, parameters, means, [real_logits, fake_logits])
    loss, *others = means
    penalty = others.pop(0) if penalties else None
    return DiscriminatorReport(loss, penalty, real_logits, fake_logits, others.pop() if auxiliaries else None)


def add_up_ranks(
    ranks: Ranks,
    inputs: UpdateInputs,
    parameters: Sequence[nn.Parameter],
    means: Sequence[Tensor],
    logits: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Add the gradients and what the ranks' rows add to the `means` [], in place; returns the whole batch's logits.

    In one exchange. All ranks have the same numbers then, and whatever follows from them.
    """
    if ranks.count == 1:
        return list(logits)
    missing = [number for number, parameter in enumerate(parameters) if parameter.grad is None]
    for number in missing:
        parameters[number].grad = torch.zeros_like(parameters[number])
    holders = torch.ones(len(parameters), dtype=means[0].dtype, device=means[0].device)  # ranks with a gradient of each
    holders[missing] = 0
    whole = [_placed(part, inputs) for part in logits]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    ranks.sum_([*gradients, *means, *whole, holders])
    for number in missing:
        if holders[number] == 0:  # as in one process, where an optimizer passes it over
            parameters[number].grad = None
    return whole


def _placed(logits: Tensor, inputs: UpdateInputs) -> Tensor:
    """The logits of the rows among those of the whole batch, which are 0."""
    assert inputs.rows is not None
    rows, count = inputs.rows.of(len(logits))
    placed = logits.new_zeros(count)
    placed[rows] = logits
    return placed


def std_over_ranks(ranks: Ranks, values: Tensor) -> Tensor:
    """The standard deviation [] of the `values` of all ranks, of which each has as many."""
    if ranks.count == 1:
        return values.std()
    means, variances = ranks.gather(torch.stack([values.mean(), values.var()]).unsqueeze(0)).unbind(1)
    each = values.numel()
    squares = (each - 1) * variances.sum() + each * (means - means.mean()).square().sum()
    return (squares / (ranks.count * each - 1)).sqrt()
