"""Augmentations with one effect, and with given numbers in place of random ones."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gan_exp.augment import ADA, DiffAugment
from gan_exp.augment import ada as module_ada
from gan_exp.augment import diffaugment as module_diffaugment

Augment = Callable[[Tensor, torch.Generator], Tensor]


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(name: str, p: float = 1.0) -> DiffAugment:
    """DiffAugment with one effect."""
    given = {"color": False, "translation": 0.0, "cutout": 0.0}
    return DiffAugment(p, **{**given, name: {"color": True, "translation": 0.25, "cutout": 0.5}[name]})


def ada(p: float = 1.0, *, flip: bool = False, rotate: bool = False, color: bool = False) -> ADA:
    return ADA(start_p=p, flip=flip, rotate=rotate, color=color)


class Scripted:
    """In place of ImageRng: each effect gets the next of the given numbers, whatever its distribution."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def __call__(self, original: Tensor, _: object, p: Tensor) -> "Scripted":
        self.count, self.p = len(original), p
        return self

    def _next(self) -> Tensor:
        return torch.full((self.count, 1, 1, 1), self.numbers.pop(0))

    def uniform(self, low: float, high: float) -> Tensor:
        number = self._next()
        assert low <= number[0] <= high
        return number

    def integer(self, most: int) -> Tensor:
        return self.uniform(-most, most)

    def normal(self) -> Tensor:
        return self._next()

    def sign(self) -> Tensor:
        return self._next()

    def mask(self, p: Tensor | None = None) -> Tensor:
        return torch.full((self.count, 1, 1, 1), True)

    def where(self, effect: Tensor, otherwise: float, p: Tensor | None = None) -> Tensor:
        return effect


def scripted(
    monkeypatch: pytest.MonkeyPatch, augmentation: Augment, numbers: tuple[float, ...], original: Tensor
) -> Tensor:
    script = Scripted(*numbers)
    for module in (module_ada, module_diffaugment):
        monkeypatch.setattr(module, "ImageRng", script)
    augmented = augmentation(original, random())
    assert script.numbers == []
    return augmented
