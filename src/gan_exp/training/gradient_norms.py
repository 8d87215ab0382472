"""The mean and the maximum of the norms of a network's gradients over many updates, kept on the device."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gan_exp.runtime.transfer import send

NORMS_EVERY = 10  # steps: a norm of every update would take 5 % of the article's step, of every tenth 0.5 %


def norms_wanted(step: int, n_critic: int, penalty_every: int | None) -> bool:
    """Whether to measure the gradients of step number `step` (from 0): every tenth step, and around a penalty.

    A lazy penalty makes the gradients of a few updates large. So each step with a penalised update is measured, and the
    one after it for comparison.
    """
    if (step + 1) % NORMS_EVERY == 0:
        return True
    if penalty_every is None:
        return False
    newest = (step + 1) * n_critic - 1
    return newest - newest % penalty_every >= (step - 1) * n_critic  # the last update with a penalty so far


class GradientNorms:
    """The norms of one network. Updates with and without a penalty are averaged apart and weighted by their numbers.

    All updates with a penalty are measured, but only some of the others: the plain mean would be too large.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(2, device=device)  # over the measured updates without and with a penalty
        self._largest = torch.zeros((), device=device)
        self._measured = [0, 0]
        self._updates = [0, 0]

    def add(self, penalised: Sequence[bool], measured: Sequence[bool], norms: Tensor | None) -> None:
        """Add updates: which are penalised, which measured, and the norms [M, ...] of the measured ones."""
        for kind in (False, True):
            self._updates[kind] += penalised.count(kind)
        if norms is None:
            return
        kinds = [kind for kind, there in zip(penalised, measured, strict=True) if there]
        means = norms.view(len(norms), -1).mean(1)
        with_penalty = send(torch.tensor(kinds), means.device)
        self._sums += torch.stack([means.where(~with_penalty, 0.0).sum(), means.where(with_penalty, 0.0).sum()])
        self._largest = torch.maximum(self._largest, norms.max())
        for kind in (False, True):
            self._measured[kind] += kinds.count(kind)

    def read(self, network: str) -> dict[str, float]:
        """By TensorBoard tag, empty if nothing was measured; then all starts again from zero. Waits for the device."""
        kinds = [kind for kind in (False, True) if self._measured[kind]]
        metrics: dict[str, float] = {}
        if kinds:
            sums = self._sums.tolist()
            mean = sum(self._updates[kind] * sums[kind] / self._measured[kind] for kind in kinds)
            metrics[f"gradient_norm/{network}"] = mean / sum(self._updates[kind] for kind in kinds)
            metrics[f"gradient_norm_max/{network}"] = self._largest.item()
        self._sums.zero_()
        self._largest.zero_()
        self._measured, self._updates = [0, 0], [0, 0]
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": self._sums.clone(),
            "largest": self._largest.clone(),
            "measured": list(self._measured),
            "played": list(self._updates),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums.copy_(state["sums"])
        self._largest.copy_(state["largest"])
        self._measured, self._updates = list(state["measured"]), list(state["played"])
