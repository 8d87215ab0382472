"""Follows a run's records one by one, and reports the troubles that last."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gan_exp.diagnosis import remedies
from gan_exp.diagnosis.detectors import Finding
from gan_exp.diagnosis.divergence import DIVERGED, OLDER
from gan_exp.diagnosis.health import summary, too_early, unhealthy
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.settings import RunSettings
from gan_exp.diagnosis.troubles import DIVERGING, EARLY, HEALTHY, MEANINGS, TROUBLES, UNCLEAR, Trouble

PATIENCE = 2  # grids in a row that show a trouble before it is reported, and that don't before it is withdrawn
SELDOM = 250  # steps between grids, from which on one grid is enough


@dataclass(frozen=True)
class Verdict:
    """`since` is the step of the first grid in a row that shows it; `remedies` are overrides, the likeliest first."""

    name: str
    since: int
    evidence: str
    meaning: str
    remedies: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.name if self.name == EARLY else f"{self.name} since step {self.since:,}"

    def line(self) -> str:
        """Everything but the meaning, in one line."""
        remedy = f"; try {' or '.join(self.remedies)}" if self.remedies else ""
        return f"{self.title}: {self.evidence}{remedy}"

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "remedies": list(self.remedies)}


class Doctor:
    """`verdicts` are the troubles reported now, the gravest first, or one of: healthy, unclear, too early to say."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self.history = History()
        self._since: dict[str, int] = {}  # the step of the first grid in a row that showed a trouble
        self._seen: dict[str, int] = {}  # grids in a row that showed it, from where it may be reported
        self._unseen: dict[str, int] = {}  # grids in a row that did not show a trouble that was reported
        self._lacking = 0  # grids in a row that were not healthy
        self.verdicts: tuple[Verdict, ...] = (_early(too_early(self.history)),)

    def follow(self, records: Iterable[Record]) -> "Doctor":
        for record in records:
            self.add(record)
        return self

    def add(self, record: Record) -> bool:
        """Add a record. Returns whether the verdicts have other names now, and not just that it is too early."""
        self.history.add(record)
        is_grid = "samples/spread" in record
        if not is_grid and not any(tag.startswith("evaluation/") for tag in record):
            if missing := too_early(self.history):
                self.verdicts = (_early(missing),)
            return False
        before = [verdict.name for verdict in self.verdicts]
        found = self._detect()
        self._count(found, is_grid and not too_early(self.history))
        self.verdicts = self._report(found)
        names = [verdict.name for verdict in self.verdicts]
        return names not in (before, [EARLY])

    def _detect(self) -> dict[Trouble, Finding]:
        found = ((trouble, trouble.detect(self.history)) for trouble in TROUBLES)
        reported = {verdict.name for verdict in self.verdicts}
        return {trouble: one for trouble, one in found if one and (one.begins or trouble.name in reported)}

    @property
    def _patience(self) -> int:
        last = self.history.grids[-2:]
        return PATIENCE if len(last) < 2 or last[1]["step"] - last[0]["step"] < SELDOM else 1

    def _count(self, found: dict[Trouble, Finding], counts: bool) -> None:
        """Count grids in a row. After an evaluation only a certain finding changes anything."""
        if counts:
            self._lacking = self._lacking + 1 if unhealthy(self.history, self._settings) else 0
        for trouble, finding in found.items():
            self._since.setdefault(trouble.name, self.history.step)
            more = counts and self.history.step >= trouble.first_step
            self._seen[trouble.name] = PATIENCE if finding.certain else self._seen.get(trouble.name, 0) + more
            self._unseen[trouble.name] = 0
        for name in self._since.keys() - {trouble.name for trouble in found}:
            self._unseen[name] = self._unseen.get(name, 0) + counts
            if self._seen[name] < self._patience or self._unseen[name] >= self._patience:
                self._seen[name] = 0
                del self._since[name]

    def _report(self, found: dict[Trouble, Finding]) -> tuple[Verdict, ...]:
        reported = {verdict.name: verdict for verdict in self.verdicts}
        verdicts = []
        for trouble in TROUBLES:
            if self._seen.get(trouble.name, 0) < self._patience:
                continue
            if trouble in found:
                since, evidence = self._since[trouble.name], found[trouble].evidence
                overrides = trouble.remedies(self._settings)
                reported[trouble.name] = Verdict(trouble.name, since, evidence, trouble.meaning, overrides)
            verdicts.append(reported[trouble.name])
        return tuple(verdicts) or (self._without_trouble(found),)

    def _without_trouble(self, found: Mapping[Trouble, Finding]) -> Verdict:
        """`found` must be seen once more before it is reported."""
        before = self.verdicts[0]
        missing = too_early(self.history)
        if found and before.name == EARLY:
            missing.append(f"a second grid that shows the same trouble: {', '.join(trouble.name for trouble in found)}")
        if missing:
            return _early(missing)
        lacking = unhealthy(self.history, self._settings)
        healthy = not lacking or (before.name == HEALTHY and self._lacking < self._patience)
        name = HEALTHY if healthy else UNCLEAR
        since = before.since if before.name == name else self.history.step
        if healthy:
            return Verdict(name, since, summary(self.history), MEANINGS[name])
        return Verdict(name, since, "; ".join(lacking), MEANINGS[name], remedies.unclear(self._settings))


def _early(missing: list[str]) -> Verdict:
    return Verdict(EARLY, 0, f"a verdict needs {' and '.join(missing)}", MEANINGS[EARLY])


def diagnose(settings: RunSettings, records: Iterable[Record]) -> tuple[Verdict, ...]:
    """The verdicts at the end of a run's records, at least one."""
    return Doctor(settings).follow(records).verdicts


def diverged(sentence: str, overrides: Sequence[str]) -> Verdict:
    """For a run that ended with the fault `sentence`; `overrides` are its remedies."""
    found = re.search(rf"step (\d+): (.*?):? (?:{DIVERGED}|{OLDER})", " ".join(sentence.split()))
    step, evidence = (int(found[1]), found[2]) if found else (0, DIVERGED)
    return Verdict(DIVERGING.name, step, evidence, DIVERGING.meaning, tuple(overrides))
