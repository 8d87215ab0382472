"""A CPU stand-in for CUDA graphs: the kernels of a step, written down once and run again without Python."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from gan_exp.training.acceleration.cuda_recorder import CaptureFailed, Result
from gan_exp.training.acceleration.traced import values_kept


class Tape(TorchDispatchMode):
    """Each kernel with its very arguments: numbers as they are now, tensors by their place in memory."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = {generator._cdata for generator in generators}
        self.kernels: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise CaptureFailed("the step waits for the GPU, which no graph can")
        for leaf in tree_leaves((args, kwargs)):
            assert not isinstance(leaf, torch.Generator) or leaf._cdata in self.generators
        args, kwargs = tree_map_only(Tensor, lambda tensor: tensor, (args, kwargs))  # lists may be changed later
        out = func(*args, **kwargs)
        self.kernels.append((func, args, kwargs, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.kernels:
            new = func(*args, **kwargs)
            for old, fresh in zip(tree_leaves(out), tree_leaves(new), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != fresh.data_ptr():  # not a view, nor in place
                    old.copy_(fresh)


class TapeRecorder:
    """Like CUDA it computes nothing while it records: `tensors` (all that a step changes) get their values back."""

    def __init__(self, tensors: Callable[[], list[Tensor]]) -> None:
        self.tensors = tensors
        self.warm_ups = self.recordings = self.replays = 0

    def warm_up(self, run: Callable[[], Result]) -> Result:
        self.warm_ups += 1
        return run()

    def record(
        self, run: Callable[[], Result], generators: Sequence[torch.Generator]
    ) -> tuple[Result, Callable[[], None]]:
        self.recordings += 1
        tape = Tape(generators)
        with values_kept(self.tensors()), tape:
            result = run()

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return result, replay
