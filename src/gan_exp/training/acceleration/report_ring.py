"""The reports of the latest steps, at addresses where a graph writes them: no copies that Python has to start."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gan_exp.training.running_means import BLOCK
from gan_exp.training.step_types import DiscriminatorReport, StepReport

SLOTS = BLOCK + 14  # a report is kept for at most BLOCK steps
OF_GENERATOR = -1

Key = tuple[int, str, tuple[int, ...]]  # which of D's updates, or OF_GENERATOR; the name of the value, and its shape
Keys = tuple[Key, ...]  # what a report has


class ReportRing:
    """`write` is part of the step that a graph repeats; `choose` says before each step where its report goes."""

    def __init__(self, device: torch.device) -> None:
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._slot = -1
        self._buffers: dict[Keys, Tensor] = {}  # [SLOTS, numbers of the report]
        self._views: dict[tuple[int, Keys, bool], StepReport] = {}

    def choose(self) -> None:
        """The next slot."""
        self._slot = (self._slot + 1) % SLOTS
        self._place.fill_(self._slot)

    def write(self, report: StepReport) -> Keys:
        found = list(_values(report))
        keys = tuple((number, name, tuple(value.shape)) for number, name, value in found)
        numbers = torch.cat([value.reshape(-1) for _, _, value in found])
        if keys not in self._buffers:
            self._buffers[keys] = numbers.new_zeros(SLOTS, len(numbers))
        self._buffers[keys].index_copy_(0, self._place, numbers.unsqueeze(0))
        return keys

    def read(self, keys: Keys, measured: bool) -> StepReport:
        """The report in the slot chosen last, without norms if not `measured`. It stays for the next `BLOCK` steps."""
        wanted = self._slot, keys, measured
        if wanted not in self._views:
            parts = self._buffers[keys][self._slot].split([math.prod(shape) for _, _, shape in keys])
            values = {key: part.view(key[2]) for key, part in zip(keys, parts, strict=True)}
            self._views[wanted] = _report({k: v for k, v in values.items() if measured or "gradient_norm" not in k[1]})
        return self._views[wanted]


def _values(report: StepReport) -> Iterator[tuple[int, str, Tensor]]:
    for number, update in enumerate(report.discriminator):
        for name, value in update._asdict().items():
            if value is not None:
                yield number, name, value
    yield OF_GENERATOR, "generator_loss", report.generator_loss
    if report.generator_gradient_norm is not None:
        yield OF_GENERATOR, "generator_gradient_norm", report.generator_gradient_norm


def _report(values: dict[Key, Tensor]) -> StepReport:
    count = max(number for number, _, _ in values) + 1
    parts: list[dict[str, Tensor]] = [{} for _ in range(count + 1)]
    for (number, name, _), value in values.items():
        parts[number][name] = value  # G's are the last
    *updates, last = parts
    return StepReport([_of_discriminator(**update) for update in updates], **last)


def _of_discriminator(penalty: Tensor | None = None, **others: Tensor) -> DiscriminatorReport:
    return DiscriminatorReport(penalty=penalty, **others)
