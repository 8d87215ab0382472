"""The inputs of a captured step, at the addresses where its graph reads them."""

from collections.abc import Sequence
from typing import cast

import torch

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
        for number, inputs in enumerate(given):
            self._latents[number].copy_(inputs.latents)
            self._weights[number].set(cast(float, inputs.penalty_weight))
            images, labels = self._images[number], self._labels[number]
            if images is not None:
                assert inputs.batch is not None
                images.copy_(inputs.batch.images)
            if labels is not None:
                assert inputs.batch is not None and inputs.batch.labels is not None
                labels.copy_(inputs.batch.labels)

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
