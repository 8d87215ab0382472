"""The reports of the latest steps, at addresses where a graph writes them: no copies that Python has to start."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gan_exp.training.running_means import BLOCK
from gan_exp.training.step_types import DiscriminatorReport, StepReport

SLOTS = BLOCK + 14  # a report is kept for at most BLOCK steps
OF_GENERATOR = -1

Key = tuple[int, str]  # which of D's updates, or OF_GENERATOR; the name of the number
Keys = tuple[Key, ...]  # what a report has


class ReportRing:
    """`write` is part of the step that a graph repeats; `choose` says before each step where its report goes."""

    def __init__(self, device: torch.device) -> None:
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._slot = -1
        self._buffers: dict[Key, Tensor] = {}  # [SLOTS, ...]
        self._views: dict[tuple[int, Keys, bool], StepReport] = {}

    def choose(self) -> None:
        """The next slot."""
        self._slot = (self._slot + 1) % SLOTS
        self._place.fill_(self._slot)

    def write(self, report: StepReport) -> Keys:
        found = dict(_values(report))
        for key, value in found.items():
            if key not in self._buffers:
                self._buffers[key] = value.new_zeros(SLOTS, *value.shape)
            self._buffers[key].index_copy_(0, self._place, value.unsqueeze(0))
        return tuple(found)

    def read(self, keys: Keys, measured: bool) -> StepReport:
        """The report in the slot chosen last, without norms if not `measured`. It stays for the next `BLOCK` steps."""
        wanted = self._slot, keys, measured
        if wanted not in self._views:
            kept = keys if measured else [key for key in keys if "gradient_norm" not in key[1]]
            self._views[wanted] = _report({key: self._buffers[key][self._slot] for key in kept})
        return self._views[wanted]


def _values(report: StepReport) -> Iterator[tuple[Key, Tensor]]:
    for number, update in enumerate(report.discriminator):
        for name, value in update._asdict().items():
            if value is not None:
                yield (number, name), value
    yield (OF_GENERATOR, "generator_loss"), report.generator_loss
    if report.generator_gradient_norm is not None:
        yield (OF_GENERATOR, "generator_gradient_norm"), report.generator_gradient_norm


def _report(values: dict[Key, Tensor]) -> StepReport:
    count = max(number for number, _ in values) + 1
    parts: list[dict[str, Tensor]] = [{} for _ in range(count + 1)]
    for (number, name), value in values.items():
        parts[number][name] = value  # G's are the last
    *updates, last = parts
    return StepReport([_of_discriminator(**update) for update in updates], **last)


def _of_discriminator(penalty: Tensor | None = None, **others: Tensor) -> DiscriminatorReport:
    return DiscriminatorReport(penalty=penalty, **others)
