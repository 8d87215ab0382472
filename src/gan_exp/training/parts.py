"""A batch in parts, which together do what the whole batch does: their gradients and reports are sums."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_exp.training.step_types import DiscriminatorReport

Part = TypeVar("Part")


def one_by_one(parts: Iterable[Part], *networks: nn.Module) -> Iterator[Part]:
    """The parts, each of which finds the networks' buffers as the first did: one update moves them once.

    Such buffers are the vectors of spectral normalisation, which each forward pass turns. BatchNorm's are left alone:
    each part moves them by its own statistics.
    """
    kept: list[tuple[Tensor, Tensor]] | None = None
    for part in parts:
        if kept is None:
            kept = [] if isinstance(parts, Sequence) and len(parts) == 1 else _copies(networks)
        for buffer, value in kept:
            buffer.copy_(value)
        yield part


def _copies(networks: Iterable[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    layers = [layer for network in networks for layer in network.modules() if not isinstance(layer, _BatchNorm)]
    return [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers(recurse=False)]


def total(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).sum(0)


def add_up(reports: Sequence[DiscriminatorReport]) -> DiscriminatorReport:
    """The report on an update from those on its parts."""
    if len(reports) == 1:
        return reports[0]
    penalties = [report.penalty for report in reports if report.penalty is not None]
    return DiscriminatorReport(
        total([report.loss for report in reports]),
        total(penalties) if penalties else None,
        torch.cat([report.real_logits for report in reports]),
        torch.cat([report.fake_logits for report in reports]),
    )
