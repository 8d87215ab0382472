"""A GPU that is none: its tensors lie on the CPU, and can't be mixed with the CPU's unless they are brought there."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda", 0)


class OnGpu(Tensor):
    """The mark of a tensor of the GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


class PretendGpu(TorchFunctionMode):
    """Within it `to("cuda")` and `device="cuda"` work. `fetched` are the shapes and types of what the CPU was given."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[tuple[int, ...], torch.dtype]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function == Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if isinstance(args[0], OnGpu) else function(*args)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [isinstance(tensor, OnGpu) for tensor in tensors]
        wanted = kwargs.get("device", args[1] if function is Tensor.to else None)
        wanted = torch.device(wanted) if isinstance(wanted, str | torch.device) else None
        if function is Tensor.cpu or (function is Tensor.to and wanted is not None and wanted.type == "cpu"):
            if isinstance(args[0], OnGpu):
                self.fetched.append((tuple(args[0].shape), args[0].dtype))
            return _plain(args[0])
        assert not (any(there) and function in (Tensor.numpy, Tensor.tolist)), "read without being brought to the CPU"
        if function is Tensor.to and wanted is not None:
            return _plain(args[0]).as_subclass(OnGpu)
        if wanted is not None:
            kwargs["device"] = torch.device("cpu")
        elif any(there):
            others = [tensor for tensor, on_gpu in zip(tensors, there, strict=True) if not on_gpu and tensor.ndim]
            assert not others, f"{function.__name__}: tensors of two devices"
        made = function(*tree_map_only(Tensor, _plain, args), **tree_map_only(Tensor, _plain, kwargs))
        return _marked(made) if any(there) or (wanted is not None and wanted.type == "cuda") else made


def _plain(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(Tensor)


def _marked(made: Any) -> Any:
    if isinstance(made, Tensor):
        return made.as_subclass(OnGpu)
    if isinstance(made, list):
        return [_marked(each) for each in made]
    if type(made) is tuple:
        return tuple(_marked(each) for each in made)
    if isinstance(made, tuple) and not isinstance(made, torch.Size):
        return type(made)([_marked(each) for each in made])  # such as torch.return_types.min
    return made
