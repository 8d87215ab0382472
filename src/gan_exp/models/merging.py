"""Grouped convolutions computed with several groups merged into one, whose weights are block-diagonal.

The same function, with zeros multiplied too. Whether fewer, wider groups are faster depends on the card and its cuDNN:
`training/merging_choice.py` finds out by timing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class Groups(NamedTuple):
    """The number of a convolution's groups, and how many are merged into one."""

    number: int
    merged: int = 1

    @property
    def left(self) -> int:
        return self.number // self.merged


class Shape(NamedTuple):
    """Of a grouped convolution, whose timings depend on it alone."""

    channels: int
    group_size: int
    height: int
    width: int
    in_float32: bool  # whatever the precision of the network

    @property
    def name(self) -> str:
        """As `device.merged_groups` has it."""
        return f"{self.channels}x{self.height}x{self.width}/{self.group_size}"

    @property
    def groups(self) -> int:
        return self.channels // self.group_size


class GroupedConvolution(nn.Conv2d):
    """3x3, as many outputs as inputs, for images of one size. How many groups are merged is no part of its state."""

    merged = 1

    def __init__(self, channels: int, group_size: int, size: tuple[int, int], in_float32: bool = False) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels // group_size, bias=False)
        self.shape = Shape(channels, group_size, *size, in_float32)


def grouped_layers(networks: Iterable[nn.Module]) -> list[GroupedConvolution]:
    return [layer for network in networks for layer in network.modules() if isinstance(layer, GroupedConvolution)]


def merge_groups(networks: Iterable[nn.Module], factors: Mapping[str, int]) -> None:
    """Let each layer merge as many groups as `factors` has for its shape's name; without an entry, none."""
    for layer in grouped_layers(networks):
        factor = factors.get(layer.shape.name, 1)
        if layer.groups % factor:
            raise ValueError(f"{layer.shape.name}:{factor}: must divide the number of its groups, {layer.groups}")
        layer.merged = factor


def convolve_merged(inputs: Tensor, weight: Tensor, bias: Tensor | None, groups: Groups) -> Tensor:
    """conv2d with stride 1, padded to the same size; the weight is [outputs, inputs / groups, k, k]."""
    return conv2d(inputs, _wider(weight, groups), bias, padding=weight.shape[2] // 2, groups=groups.left)


def differentiate_merged(gradient: Tensor, inputs: Tensor, weight: Tensor, groups: Groups, at_inputs: bool) -> Tensor:
    """The gradient of `convolve_merged` at the inputs, which only give their shape then, or else at the weight."""
    wide = _wider(weight, groups)
    padding = [weight.shape[2] // 2] * 2
    found = torch.ops.aten.convolution_backward(
        *(gradient, inputs, wide, None, [1, 1], padding, [1, 1], False, [0, 0], groups.left),
        [at_inputs, not at_inputs, False],
    )
    return found[0] if at_inputs else _diagonal(found[1], groups)


def _wider(weight: Tensor, groups: Groups) -> Tensor:
    """The block-diagonal weight [outputs, merged * narrow, k, k], channels last."""
    if groups.merged == 1:
        return weight
    outputs, narrow, *kernel = weight.shape
    rows = weight.permute(0, 2, 3, 1).reshape(groups.left, groups.merged, -1, *kernel, narrow)
    blocks = torch.diag_embed(rows.movedim(1, -1), dim1=1, dim2=5)  # [left, merged, outputs, k, k, merged, narrow]
    return blocks.reshape(outputs, *kernel, groups.merged * narrow).permute(0, 3, 1, 2)


def _diagonal(wide: Tensor, groups: Groups) -> Tensor:
    """The blocks that `_wider` has put there."""
    if groups.merged == 1:
        return wide
    outputs, inputs, *kernel = wide.shape
    narrow = inputs // groups.merged
    blocks = wide.permute(0, 2, 3, 1).reshape(groups.left, groups.merged, -1, *kernel, groups.merged, narrow)
    rows = blocks.diagonal(dim1=1, dim2=5).movedim(-1, 1)
    return rows.reshape(outputs, *kernel, narrow).permute(0, 3, 1, 2)
