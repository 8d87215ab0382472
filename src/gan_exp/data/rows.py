"""Some rows of a tensor, copied only as far as they are asked for: the images to train on stay in the packed file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

TWO_SIDED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
OPERATORS = (
    *(*TWO_SIDED, *(f"r{name}" for name in TWO_SIDED), "neg", "invert", "abs"),
    *("eq", "ne", "lt", "le", "gt", "ge", "array"),  # the last is NumPy's
)


class Rows:
    """Behaves as `whole[rows]` would. What is not listed here, such as arithmetic, makes that copy and keeps it."""

    def __init__(self, whole: Tensor, rows: Tensor) -> None:
        self._whole, self._rows = whole, rows
        self.shape = torch.Size((len(rows), *whole.shape[1:]))
        self.dtype, self.device, self.is_cuda, self.ndim = whole.dtype, whole.device, whole.is_cuda, whole.ndim
        self.nbytes = self.shape.numel() * whole.dtype.itemsize

    @cached_property
    def copied(self) -> Tensor:
        return self._whole[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: Any) -> Tensor:
        first, *rest = which if isinstance(which, tuple) else (which,)
        found = self._whole[self._rows[first]]
        return found[:, *rest] if rest and found.ndim == self.ndim else found[tuple(rest)] if rest else found

    def __iter__(self) -> Iterator[Tensor]:
        return (self._whole[row] for row in self._rows.tolist())

    def split(self, size: int) -> Iterator[Tensor]:
        return (self._whole[rows] for rows in self._rows.split(size))

    def to(self, device: torch.device) -> Tensor:
        return self._whole[self._rows].to(device)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.copied, name)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Torch's functions take it as the tensor that it stands for."""
        return function(*map(_plain, args), **{key: _plain(value) for key, value in (kwargs or {}).items()})


def _on_copy(name: str) -> Callable[..., Any]:
    """Python looks for operators in the class, not with `__getattr__`."""
    return lambda rows, *others: getattr(rows.copied, name)(*map(_plain, others))


for _name in OPERATORS:
    setattr(Rows, f"__{_name}__", _on_copy(f"__{_name}__"))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(one, Rows) for one in value):
        return [_plain(one) for one in value]
    return value.copied if isinstance(value, Rows) else value


def rows_of(whole: Tensor, which: Tensor) -> Tensor:
    """The rows that `which`, a mask, selects; a tensor in all that matters."""
    return cast(Tensor, Rows(whole, which.nonzero().squeeze(1)))
