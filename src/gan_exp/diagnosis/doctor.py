"""Follows a run's records one by one, and says what holds for long enough to be told."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from gan_exp.diagnosis.divergence import DIVERGED, likely_cause
from gan_exp.diagnosis.facts import Facts
from gan_exp.diagnosis.history import History, Record
from gan_exp.diagnosis.signs import DIVERGING, HEALTHY, SIGNS, Sign
from gan_exp.diagnosis.symptoms import Symptom

PATIENCE = 2  # grids in a row: a verdict is told after so many that show it, and taken back after so many that don't
FIRST_STEP = 200  # before it the networks are hardly more than their first weights
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

    Where a run has no evidence from samples (`by_log`), the logged means alone are looked at, each time there are some.
    """

    def __init__(self, facts: Facts, by_log: bool = False) -> None:
        self._facts, self._by_log = facts, by_log
        self.history = History()
        self.verdicts: tuple[Verdict, ...] = ()
        self._seen: dict[str, int] = {}  # looks in a row that showed a sign
        self._unseen: dict[str, int] = {}  # and that did not show one that was told
        self._since: dict[str, int] = {}

    def follow(self, records: Iterable[Record]) -> "Doctor":
        for record in records:
            self.add(record)
        return self

    def add(self, record: Record) -> bool:
        """Whether other verdicts hold now than before, by their names."""
        self.history.add(record)
        looks = "loss/generator" in record if self._by_log else "samples/spread" in record
        evaluated = any(tag.startswith("evaluation/") for tag in record)
        if not (looks or evaluated) or not self._early_enough():
            return False
        before = [verdict.name for verdict in self.verdicts]
        found = {sign: symptom for sign in SIGNS if (symptom := sign.look(self.history)) is not None}
        self._count({sign.name: symptom for sign, symptom in found.items()}, looks)
        self.verdicts = self._tell(found)
        return [verdict.name for verdict in self.verdicts] != before

    def _early_enough(self) -> bool:
        looks = self.history.logs if self._by_log else self.history.grids
        return self.history.step >= FIRST_STEP and len(looks) >= FIRST_GRIDS

    def _count(self, found: dict[str, Symptom], looks: bool) -> None:
        """Looks in a row. An evaluation is sure of what it shows, and of nothing else."""
        for name, symptom in found.items():
            if not self._seen.get(name):
                self._since[name] = self.history.step
            self._seen[name] = PATIENCE if symptom.sure else self._seen.get(name, 0) + looks
            self._unseen[name] = 0
        for name in self._seen.keys() - found.keys():
            self._unseen[name] = self._unseen.get(name, 0) + looks
            if self._seen[name] < PATIENCE or self._unseen[name] >= PATIENCE:
                self._seen[name] = 0

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
        healthy = HEALTHY.look(self.history)
        assert healthy is not None
        return (Verdict(HEALTHY.name, since, healthy.evidence, HEALTHY.meaning),)


def diagnose(facts: Facts, records: Iterable[Record]) -> tuple[Verdict, ...]:
    """What holds at the end of a run's records; empty where it is too early to say."""
    kept = list(records)
    return Doctor(facts, by_log=not any("samples/spread" in record for record in kept)).follow(kept).verdicts


def diverged(sentence: str, facts: Facts, metrics: Record) -> Verdict:
    """Of a run that ended with the fault `sentence`, whose last finite means were `metrics`."""
    told = re.search(r"step (\d+): (.*?):? the game", " ".join(sentence.split()))
    step, sign = (int(told[1]), told[2]) if told else (0, DIVERGED)
    return Verdict(DIVERGING.name, step, sign, DIVERGING.meaning, likely_cause(facts, metrics)[1])
