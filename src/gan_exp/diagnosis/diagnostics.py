"""The doctor during training: gathers evidence at each grid of samples, and follows the run's records."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_exp.data.packed import PackedImages
from gan_exp.diagnosis.evidence import SampleEvidence
from gan_exp.diagnosis.history import Record
from gan_exp.diagnosis.settings import RunSettings
from gan_exp.diagnosis.verdicts import Doctor, Verdict
from gan_exp.evaluation.discriminator import logits
from gan_exp.metrics.overfitting import overfitting
from gan_exp.models.sampling import at_once, generate_all
from gan_exp.runtime.randomness import Streams

SAMPLES = 128  # images, at each grid from the same latents
POINTS = 512
MOST_HELD_OUT = 256  # images that D was not trained on
SMALL = 20_000  # images: D can hardly memorise more, and loading the held-out ones takes time


class Sight(NamedTuple):
    """What the networks made at one step, on the device."""

    samples: Tensor
    known: Tensor | None = None  # D's logits on training images
    unseen: Tensor | None = None  # and on others


class Diagnostics:
    """Evidence from samples and from D's logits, and the verdicts that follow from a run's records alone.

    Images of `held_out` show whether D has memorised the training images; None if there are none. If the run was
    resumed, `saved` is the `state_dict` in its checkpoint, and `records` are those that it had written.
    """

    def __init__(
        self,
        settings: RunSettings,
        data: PackedImages,
        held_out: PackedImages | None,
        device: torch.device,
        seed: int,
        latent_dim: int,
        pac: int = 1,
        conditional: bool = False,
        saved: Mapping[str, Any] | None = None,
        records: Iterable[Record] = (),
    ) -> None:
        self._device, self._pac, self._conditional = device, pac, conditional
        count = SAMPLES if data.extent is None else POINTS
        self._chunk = at_once(data.image_shape)
        self._doctor = Doctor(settings).follow(records)
        self._evidence = SampleEvidence(data, count, conditional)
        self._evidence.previous = None if saved is None else saved["samples"]
        self._latents = Streams(seed).latents(0, "doctor", count, latent_dim).to(device)
        labels = self._evidence.labels if conditional else None
        self._labels = None if labels is None else labels.to(device)
        self._for_discriminator = None if held_out is None else (self._some(data), self._some(held_out))

    def _some(self, data: PackedImages) -> PackedImages:
        """Some of the images, always the same ones."""
        order = torch.randperm(len(data.images), generator=Streams(0).at(0, "doctor/discriminator"))[:MOST_HELD_OUT]
        return data.select(order.to(data.images.device)).to(self._device)

    def look(self, generator: nn.Module, discriminator: nn.Module) -> Sight:
        """What `compare` needs of the networks, still on the device; changes neither of them."""
        samples = generate_all(generator, self._latents, self._labels, device=self._device, chunk=self._chunk)
        if self._for_discriminator is None:
            return Sight(samples)
        modes = {layer: layer.training for layer in discriminator.modules()}
        discriminator.eval()
        try:
            known, unseen = (
                logits(discriminator, data, self._pac, self._conditional) for data in self._for_discriminator
            )
        finally:
            for layer, training in modes.items():  # a frozen part may have been built in inference mode
                layer.training = training
        return Sight(samples, known, unseen)

    def compare(self, sight: Sight) -> dict[str, float]:
        """The evidence in what was seen, by tag, empty if it isn't finite."""
        found = self._evidence.compare(sight.samples.cpu())
        if sight.known is not None and sight.unseen is not None:
            found["discriminator/overfitting"] = overfitting(sight.known.cpu(), sight.unseen.cpu())
        return found if all(map(isfinite, found.values())) else {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self._doctor.verdicts

    def note(self, step: int, values: Mapping[str, float]) -> bool:
        """Add a record with its finite values, those that will be read again. Returns whether the verdicts changed."""
        return self._doctor.add({"step": step, **{tag: value for tag, value in values.items() if isfinite(value)}})

    def state_dict(self) -> dict[str, Any]:
        return {"samples": self._evidence.previous}
