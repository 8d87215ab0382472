"""Follows a run's records one by one, and says what holds for long enough to be told."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gan_exp.diagnosis.divergence import DIVERGED, likely_cause
from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.health import evidence, too_early, unhealthy
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.remedies import doubtful
from gan_exp.diagnosis.signs import DIVERGING, EARLY, HEALTHY, MEANINGS, SIGNS, UNCLEAR, Sign
from gan_exp.diagnosis.symptoms import Symptom

PATIENCE = 2  # grids in a row: a verdict is told after so many that show it, and taken back after so many that don't
SELDOM = 250  # steps between grids, from which on one is enough: what it shows has lasted


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
        """All of it but the meaning, in one line."""
        remedy = f"; try {' or '.join(self.remedies)}" if self.remedies else ""
        return f"{self.title}: {self.evidence}{remedy}"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "remedies": list(self.remedies)}


class Doctor:
    """`verdicts` are those told, the gravest first, or one of: healthy, unclear, too early to say."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.history = History()
        self._since: dict[str, int] = {}  # the first look in a row that showed a sign
        self._seen: dict[str, int] = {}  # looks in a row that showed it, since it may be told
        self._unseen: dict[str, int] = {}  # and that did not show one that was told
        self._lacking = 0  # looks in a row that did not show health
        self.verdicts: tuple[Verdict, ...] = (_early(too_early(self.history)),)

    def follow(self, records: Iterable[Record]) -> "Doctor":
        for record in records:
            self.add(record)
        return self

    def add(self, record: Record) -> bool:
        """Whether other verdicts hold now than before, by their names, and not only that it is too early."""
        self.history.add(record)
        looks = "samples/spread" in record
        if not looks and not any(tag.startswith("evaluation/") for tag in record):
            if missing := too_early(self.history):
                self.verdicts = (_early(missing),)
            return False
        before = [verdict.name for verdict in self.verdicts]
        found = {sign: symptom for sign in SIGNS if (symptom := sign.look(self.history)) is not None}
        self._count(found, looks and not too_early(self.history))
        self.verdicts = self._tell(found)
        names = [verdict.name for verdict in self.verdicts]
        return names not in (before, [EARLY])

    @property
    def _patience(self) -> int:
        last = self.history.grids[-2:]
        return PATIENCE if len(last) < 2 or last[1]["step"] - last[0]["step"] < SELDOM else 1

    def _count(self, found: dict[Sign, Symptom], counts: bool) -> None:
        """Looks in a row. An evaluation is sure of what it shows, and of nothing else."""
        if counts:
            self._lacking = self._lacking + 1 if unhealthy(self.history, self._facts) else 0
        for sign, symptom in found.items():
            self._since.setdefault(sign.name, self.history.step)
            more = counts and self.history.step >= sign.first_step
            self._seen[sign.name] = PATIENCE if symptom.sure else self._seen.get(sign.name, 0) + more
            self._unseen[sign.name] = 0
        for name in self._since.keys() - {sign.name for sign in found}:
            self._unseen[name] = self._unseen.get(name, 0) + counts
            if self._seen[name] < self._patience or self._unseen[name] >= self._patience:
                self._seen[name] = 0
                del self._since[name]

    def _tell(self, found: dict[Sign, Symptom]) -> tuple[Verdict, ...]:
        told = {verdict.name: verdict for verdict in self.verdicts}
        verdicts = []
        for sign in SIGNS:
            if self._seen.get(sign.name, 0) < self._patience:
                continue
            if sign in found:
                symptom = found[sign]
                since, evidence = self._since[sign.name], symptom.evidence
                told[sign.name] = Verdict(sign.name, since, evidence, sign.meaning, sign.remedies(self._facts))
            verdicts.append(told[sign.name])
        return tuple(verdicts) or (self._without_trouble(found),)

    def _without_trouble(self, found: Mapping[Sign, Symptom]) -> Verdict:
        """`found` is what has to be seen once more to be told."""
        before = self.verdicts[0]
        missing = too_early(self.history)
        if found and before.name == EARLY:
            missing.append(f"another grid that shows what one has shown: {', '.join(sign.name for sign in found)}")
        if missing:
            return _early(missing)
        lacking = unhealthy(self.history, self._facts)
        healthy = not lacking or (before.name == HEALTHY and self._lacking < self._patience)
        name = HEALTHY if healthy else UNCLEAR
        since = before.since if before.name == name else self.history.step
        if healthy:
            return Verdict(name, since, evidence(self.history), MEANINGS[name])
        return Verdict(name, since, "; ".join(lacking), MEANINGS[name], doubtful(self._facts))


def _early(missing: list[str]) -> Verdict:
    return Verdict(EARLY, 0, f"it takes {' and '.join(missing)}", MEANINGS[EARLY])


def diagnose(facts: Facts, records: Iterable[Record]) -> tuple[Verdict, ...]:
    """What holds at the end of a run's records; at least one verdict."""
    return Doctor(facts).follow(records).verdicts


def diverged(sentence: str, facts: Facts, metrics: Record) -> Verdict:
    """Of a run that ended with the fault `sentence`, whose last finite means were `metrics`."""
    told = re.search(r"step (\d+): (.*?):? the game", " ".join(sentence.split()))
    step, sign = (int(told[1]), told[2]) if told else (0, DIVERGED)
    return Verdict(DIVERGING.name, step, sign, DIVERGING.meaning, likely_cause(facts, metrics)[1])
