"""The data and the random numbers of each step: functions of (seed, step), whatever was drawn before."""

from collections.abc import Callable

import torch

from gan_exp.data.packed import Batch, Batches
from gan_exp.runtime.randomness import Rows, Streams
from gan_exp.runtime.transfer import send
from gan_exp.training.step_types import UpdateInputs


class InputSource:
    """Gives each update of a run its inputs, on the device of `streams`; only `rows` of them, if these are given.

    Batches are numbered through: each of D's updates takes one, and G's where `generator_needs_batch`. Every
    `penalty_every`-th update of D has the penalty, so many times as strong (lazily).
    """

    def __init__(
        self,
        batches: Batches,
        streams: Streams,
        latent_dim: int,
        n_critic: int = 1,
        penalty_every: int = 1,
        generator_needs_batch: bool = False,
        rows: Rows | None = None,
    ) -> None:
        self._batches, self._streams, self._latent_dim = batches, streams, latent_dim
        self._n_critic, self._penalty_every = n_critic, penalty_every
        self._generator_needs_batch = generator_needs_batch
        self._rows, self._slice = rows, slice(None) if rows is None else slice(rows.start, rows.stop)

    def discriminator(self, step: int, penalty_factor: float = 1.0, measured: bool = False) -> list[UpdateInputs]:
        """Of the `n_critic` updates of step number `step` (from 0); `penalty_factor` is the schedule's."""
        found = []
        for k in range(self._n_critic):
            update, stream = step * self._n_critic + k, f"discriminator/{k}"
            batch = self._batch(update + step * self._generator_needs_batch)
            weight = penalty_factor * self._penalty_every if update % self._penalty_every == 0 else 0.0
            latents = self._latents(step, stream)
            found.append(UpdateInputs(latents, batch, self._rng_for(step, stream), weight, measured, self._rows))
        return found

    def generator(self, step: int, measured: bool = False) -> UpdateInputs:
        batch = self._batch((step + 1) * (self._n_critic + 1) - 1) if self._generator_needs_batch else None
        latents = self._latents(step, "generator")
        rng_for = self._rng_for(step, "generator")
        return UpdateInputs(latents, batch, rng_for, measured=measured, rows=self._rows)

    def _batch(self, number: int) -> Batch:
        batch, device = self._batches.draw(number, self._slice), self._streams.device
        if batch.images.device == device:
            return batch
        labels = None if batch.labels is None else send(batch.labels, device)
        return batch._replace(images=send(batch.images, device), labels=labels)

    def _latents(self, step: int, stream: str) -> torch.Tensor:
        return self._streams.latents(step, stream, self._batches.batch_size, self._latent_dim, self._slice)

    def _rng_for(self, step: int, stream: str) -> Callable[[str], torch.Generator]:
        """The random numbers of this step for a purpose within `stream`."""
        return lambda purpose: self._streams.at(step, f"{stream}/{purpose}")
