"""Runs whose files a thread writes, as on a GPU, on a CPU."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from gan_exp.runs.background import Writer
from gan_exp.training import assembly


class LateCopies:
    """A stand-in for a GPU's side stream: its copies hold nothing until they are waited for."""

    def snapshot(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Callable[[], None]]:
        kept = [tensor.detach().clone() for tensor in tensors]
        found = [torch.full_like(tensor, 77) for tensor in kept]

        def arrived() -> None:
            for tensor, value in zip(found, kept, strict=True):
                tensor.copy_(value)

        return found, arrived


def written_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on runs write by a thread."""
    monkeypatch.setattr(assembly, "Writer", lambda copies: Writer(LateCopies()))
