"""The doctor at a run's side: gathers evidence at each grid of samples, and follows the history."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Any

import torch

from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.diagnosis.evidence import SampleEvidence
from gan_exp.diagnosis.facts import facts_of
from gan_exp.diagnosis.history import Record
from gan_exp.diagnosis.verdicts import Doctor, Verdict
from gan_exp.errors import UserError
from gan_exp.evaluation.discriminator import logits
from gan_exp.metrics.overfitting import overfitting
from gan_exp.models.sampling import generate_all
from gan_exp.runtime.randomness import Streams
from gan_exp.training.build import build_held_out
from gan_exp.training.state import TrainingState

SAMPLES = 128  # images, each time from the same latents
POINTS = 512
MOST_HELD_OUT = 256  # images that D has not learned from
SMALL = 20_000  # images: of more D can hardly learn any by heart, and reading those held out takes its time


class Diagnostics:
    """Of a run that goes on, `saved` is what `state_dict` gave at its checkpoint, and `records` what it had written.

    The verdicts follow from the records alone.
    """

    def __init__(
        self,
        config: Config,
        data: PackedImages,
        device: torch.device,
        saved: Mapping[str, Any] | None,
        records: Iterable[Record],
    ) -> None:
        self._config, self._device = config, device
        count = SAMPLES if data.extent is None else POINTS
        self._doctor = Doctor(facts_of(config.model_dump())).follow(records)
        self._evidence = SampleEvidence(data, count, config.conditional)
        self._evidence.previous = None if saved is None else saved["samples"]
        self._latents = Streams(config.seed).latents(0, "doctor", count, config.latent_dim).to(device)
        labels = self._evidence.labels if config.conditional else None
        self._labels = None if labels is None else labels.to(device)
        held_out: PackedImages | None = None
        with suppress(UserError, OSError):  # no test part at hand: training needs none
            held_out = build_held_out(config) if len(data.images) <= SMALL else None
        self._for_discriminator = None if held_out is None else (self._some(data), self._some(held_out))

    def _some(self, data: PackedImages) -> PackedImages:
        """Always the same of them."""
        order = torch.randperm(len(data.images), generator=Streams(0).at(0, "doctor/discriminator"))[:MOST_HELD_OUT]
        return data.chosen(order.to(data.images.device)).to(self._device)

    def gather(self, state: TrainingState) -> dict[str, float]:
        """The evidence of this step by tag, nothing where it isn't finite; changes nothing in `state`."""
        found = self._evidence.compare(generate_all(state.generator_ema, self._latents, self._labels))
        if self._for_discriminator is not None:
            modes = {layer: layer.training for layer in state.discriminator.modules()}
            state.discriminator.eval()
            try:
                known, unseen = (logits(self._config, state.discriminator, data) for data in self._for_discriminator)
            finally:
                for layer, training in modes.items():  # a frozen part may have been built in inference mode
                    layer.training = training
            found["discriminator/overfitting"] = overfitting(known, unseen)
        return found if all(map(isfinite, found.values())) else {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self._doctor.verdicts

    def note(self, step: int, values: Mapping[str, float]) -> bool:
        """A record, as it is read again: its finite values. Whether other verdicts hold now."""
        return self._doctor.add({"step": step, **{tag: value for tag, value in values.items() if isfinite(value)}})

    def state_dict(self) -> dict[str, Any]:
        return {"samples": self._evidence.previous}
