"""Tuples, lists and values as a list of tensors, which is all that a compiled program knows."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten


class Tree:
    """`tensors` are those of the `tree`, in order."""

    def __init__(self, tree: Any) -> None:
        self._leaves, self._spec = tree_flatten(tree)
        self._places = [place for place, leaf in enumerate(self._leaves) if isinstance(leaf, Tensor)]

    @property
    def tensors(self) -> list[Tensor]:
        return [self._leaves[place] for place in self._places]

    def filled(self, tensors: Sequence[Tensor]) -> Any:
        """The tree with others in their place."""
        leaves = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        return tree_unflatten(leaves, self._spec)
