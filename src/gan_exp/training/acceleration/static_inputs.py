"""The inputs of a captured step, at the addresses where its graph reads them."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from gan_exp.data.packed import Batch
from gan_exp.penalties import RngFor
from gan_exp.training.acceleration.capturable import DeviceNumber
from gan_exp.training.step_types import UpdateInputs


class StaticInputs:
    """The inputs of a step, always at the same addresses: those of D's updates, then G's."""

    def __init__(self, given: Sequence[UpdateInputs], conditional: bool, device: torch.device) -> None:
        self._latents = [inputs.latents.clone() for inputs in given]
        self._images = [None if inputs.batch is None else inputs.batch.images.clone() for inputs in given]
        self._labels = [
            inputs.batch.labels.clone()
            if conditional and inputs.batch is not None and inputs.batch.labels is not None
            else None
            for inputs in given
        ]
        self._weights = [DeviceNumber(device) for _ in given]

    def fill(self, given: Sequence[UpdateInputs]) -> None:
        """With one kernel for each kind of input, since they all run outside of the graph."""
        batches = [inputs.batch for inputs in given]
        _copy(self._latents, [inputs.latents for inputs in given])
        _copy(self._images, [None if batch is None else batch.images for batch in batches])
        _copy(self._labels, [None if batch is None else batch.labels for batch in batches])
        for weight, inputs in zip(self._weights, given, strict=True):
            weight.set(cast(float, inputs.penalty_weight))

    def read(self, rng_for_each: Sequence[RngFor], penalised: Sequence[bool], measured: bool) -> list[UpdateInputs]:
        """With `rng_for_each` for the random numbers, and a penalty in the updates that are `penalised` (never G's)."""
        has_penalty = [*penalised, False]
        return [
            UpdateInputs(
                self._latents[number],
                # A penalty may ask for gradients of the images, which the buffer itself must not require.
                None if (images := self._images[number]) is None else Batch(images.detach(), self._labels[number]),
                rng_for,
                self._weights[number].value if has_penalty[number] else 0.0,
                measured,
            )
            for number, rng_for in enumerate(rng_for_each)
        ]


def _copy(places: Sequence[Tensor | None], values: Sequence[Tensor | None]) -> None:
    """Into those places that there are."""
    pairs = [(place, value) for place, value in zip(places, values, strict=True) if place is not None]
    if pairs:
        into, what = zip(*pairs, strict=True)
        torch._foreach_copy_(into, what)
