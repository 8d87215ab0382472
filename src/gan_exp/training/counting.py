"""Counts the bytes of the tensors that operations make, and the operations on numbers, also on torch's meta device.

What a library takes inside an operation, such as a convolution's rearranged inputs, does not show.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

CONVOLUTIONS = {torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default}
DRAWS = {torch.rand, torch.randn, torch.randint, torch.randperm}


class AnyValues(TorchFunctionMode):
    """Random numbers are not drawn, since their generators belong to another device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in DRAWS:
            kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
            device = torch.device(kwargs.get("device") or "cpu")
            if device.type == "meta" and function in (torch.rand, torch.randn):
                return torch.empty(*args, **kwargs)
        return function(*args, **kwargs)


def _channels_last(made: Any) -> Any:
    """As the results of convolutions lie on a CPU or GPU; on the meta device they don't, and would be copied."""
    if isinstance(made, tuple | list):
        return tuple(_channels_last(value) for value in made)
    if not (isinstance(made, Tensor) and made.is_meta and made.ndim == 4):
        return made
    return torch.empty_like(made, memory_format=torch.channels_last)


class Counting(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, until they are freed, and the operations on numbers."""

    def __init__(self, there: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.made = self.largest = self.operations = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        for tensor in there:
            self._add(tensor)
        self.made = self.largest = 0  # bytes in all and of one tensor, without those of `there`

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Overrides torch's method, which imports the compiler at the first operation (`runtime/no_compiler.py`)."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.operations += count(*args, **(kwargs or {}), out_val=made)
        if function in CONVOLUTIONS:
            made = _channels_last(made)
        for value in made if isinstance(made, tuple | list) else (made,):
            if isinstance(value, Tensor):
                self._add(value)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            size = storage.nbytes()
            self._known.add(storage)
            self.made += size
            self.largest = max(self.largest, size)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size
