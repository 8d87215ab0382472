"""Follows a run's records one by one, and says what holds for long enough to be told."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from gan_exp.diagnosis.divergence import DIVERGED, likely_cause
from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.signs import DIVERGING, HEALTHY, SIGNS, Sign
from gan_exp.diagnosis.symptoms import Symptom, healthy

PATIENCE = 2  # grids in a row: a verdict is told after so many that show it, and taken back after so many that don't
FIRST_STEP = 500  # before it the networks are hardly more than their first weights
FIRST_GRIDS = 3  # with the one of step 0


@dataclass(frozen=True)
class Verdict:
    """`since` is the step of the first grid in a row that shows it; `remedies` are overrides, the likeliest first."""

    name: str
    since: int
    evidence: str
    meaning: str
    remedies: tuple[str, ...] = ()

    def line(self) -> str:
        """All of it but the meaning, in one line."""
        remedy = f"; try {' or '.join(self.remedies)}" if self.remedies else ""
        return f"{self.name} since step {self.since}: {self.evidence}{remedy}"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "remedies": list(self.remedies)}


class Doctor:
    """`verdicts` are those told, the gravest first: empty while it is too early to say (or the first signs need to be
    seen again), else at least `healthy`.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.history = History()
        self.verdicts: tuple[Verdict, ...] = ()
        self._since: dict[str, int] = {}  # the first look in a row that showed a sign
        self._seen: dict[str, int] = {}  # looks in a row that showed it, since it may be told
        self._unseen: dict[str, int] = {}  # and that did not show one that was told

    def follow(self, records: Iterable[Record]) -> "Doctor":
        for record in records:
            self.add(record)
        return self

    def add(self, record: Record) -> bool:
        """Whether other verdicts hold now than before, by their names."""
        self.history.add(record)
        looks = "samples/spread" in record
        if not looks and not any(tag.startswith("evaluation/") for tag in record):
            return False
        before = [verdict.name for verdict in self.verdicts]
        found = {sign: symptom for sign in SIGNS if (symptom := sign.look(self.history)) is not None}
        early = self.history.step < FIRST_STEP or len(self.history.grids) < FIRST_GRIDS
        self._count(found, looks and not early)
        if not early:
            self.verdicts = self._tell(found)
        return [verdict.name for verdict in self.verdicts] != before

    def _count(self, found: dict[Sign, Symptom], counts: bool) -> None:
        """Looks in a row. An evaluation is sure of what it shows, and of nothing else."""
        for sign, symptom in found.items():
            self._since.setdefault(sign.name, self.history.step)
            more = counts and self.history.step >= sign.first_step
            self._seen[sign.name] = PATIENCE if symptom.sure else self._seen.get(sign.name, 0) + more
            self._unseen[sign.name] = 0
        for name in self._since.keys() - {sign.name for sign in found}:
            self._unseen[name] = self._unseen.get(name, 0) + counts
            if self._seen[name] < PATIENCE or self._unseen[name] >= PATIENCE:
                self._seen[name] = 0
                del self._since[name]

    def _tell(self, found: dict[Sign, Symptom]) -> tuple[Verdict, ...]:
        told = {verdict.name: verdict for verdict in self.verdicts}
        verdicts = []
        for sign in SIGNS:
            if self._seen.get(sign.name, 0) < PATIENCE:
                continue
            if sign in found:
                symptom = found[sign]
                since, evidence = self._since[sign.name], symptom.evidence
                told[sign.name] = Verdict(sign.name, since, evidence, sign.meaning, sign.remedies(self._facts))
            verdicts.append(told[sign.name])
        if verdicts or (found and not self.verdicts):
            return tuple(verdicts)
        since = told[HEALTHY.name].since if HEALTHY.name in told else self.history.step
        return (Verdict(HEALTHY.name, since, healthy(self.history).evidence, HEALTHY.meaning),)


def diagnose(facts: Facts, records: Iterable[Record]) -> tuple[Verdict, ...]:
    """What holds at the end of a run's records; empty where it is too early to say."""
    return Doctor(facts).follow(records).verdicts


def diverged(sentence: str, facts: Facts, metrics: Record) -> Verdict:
    """Of a run that ended with the fault `sentence`, whose last finite means were `metrics`."""
    told = re.search(r"step (\d+): (.*?):? the game", " ".join(sentence.split()))
    step, sign = (int(told[1]), told[2]) if told else (0, DIVERGED)
    return Verdict(DIVERGING.name, step, sign, DIVERGING.meaning, likely_cause(facts, metrics)[1])
