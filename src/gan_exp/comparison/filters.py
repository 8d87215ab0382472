"""Filters on the command line: `model=dcgan`, `state=failed,stale`, `fid_cnn<5`, `name=*seed=0*`."""

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gan_exp.comparison.grouping import MISSING, settings_of, text
from gan_exp.comparison.metric_names import resolve_tag
from gan_exp.comparison.records import SCORES, RunRecord
from gan_exp.comparison.states import STATES
from gan_exp.config.overrides import split_values
from gan_exp.errors import UserError, did_you_mean

WORD = re.compile(r"([A-Za-z_][\w./@-]*)(<=|>=|!=|==|=|<|>)(.*)", re.DOTALL)
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# What a run has beside its settings and its metrics.
OWN: dict[str, Callable[[RunRecord], Any]] = {
    "name": lambda record: record.name,
    "state": lambda record: record.state,
    "step": lambda record: record.step,
    "sweep": lambda record: None if record.sweep is None else record.sweep.name,
    "doctor": lambda record: record.verdict,
    "reason": lambda record: record.reason,
}


@dataclass(frozen=True)
class Filter:
    """`accepts` says whether a run passes; a run without the key passes only `!=`."""

    key: str
    sign: str
    wanted: str
    value: Callable[[RunRecord], Any]

    def accepts(self, record: RunRecord) -> bool:
        found = self.value(record)
        if self.sign in COMPARE:
            is_number = isinstance(found, int | float) and not isinstance(found, bool)
            return is_number and COMPARE[self.sign](found, float(self.wanted))
        equal = found is not MISSING and any(_equal(found, one) for one in split_values(self.wanted))
        return equal != (self.sign == "!=")


def _equal(found: Any, wanted: str) -> bool:
    """As numbers where both are; otherwise as they are written, with * for anything."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return float(wanted) == found
        except ValueError:
            return False
    written = text(found)
    if written.startswith("[") or wanted.startswith("["):
        return written.replace(" ", "") == wanted.replace(" ", "")
    return written == wanted or fnmatch.fnmatchcase(written, wanted) or (found is None and wanted == "none")


def is_filter(word: str) -> bool:
    return WORD.fullmatch(word) is not None


def parse(word: str, records: Sequence[RunRecord]) -> Filter:
    """Raises UserError for a word that is no filter, and for a key that none of `records` has."""
    found = WORD.fullmatch(word)
    if found is None:
        raise UserError(f"{word}: is no filter; write key=value, key!=value, 'key<number' or 'key>number'")
    key, sign, wanted = found.groups()
    if sign in COMPARE:
        try:
            float(wanted)
        except ValueError:
            raise UserError(f"{word}: {sign} needs a number behind it, such as '{key}{sign}5'") from None
    elif not wanted:
        raise UserError(f"{word}: no value is given; write {key}{sign}VALUE (of a key without one: {key}{sign}null)")
    if key == "state":
        for one in split_values(wanted) if sign not in COMPARE else ():
            if not any(fnmatch.fnmatchcase(state, one) for state in STATES):
                raise UserError(f"{word}: no such state; {did_you_mean(one, STATES)}")
    return Filter(key, sign.replace("==", "="), wanted, value_of(key, records))


def value_of(key: str, records: Sequence[RunRecord]) -> Callable[[RunRecord], Any]:
    """A function that gives a run's value of `key`, MISSING where it has none.

    `key` is a setting (`lr`, `model` or `model.name`), a metric (`fid_cnn`, `fid`, `loss/generator`, `seconds`), or
    name, state, step, sweep, doctor, reason. Raises UserError for a key that none of `records` has.
    """
    if key in OWN:
        return OWN[key]
    if any(key in record.configuration for record in records):
        return lambda record: record.configuration.get(key, MISSING)
    if any(key in settings_of(record.configuration) for record in records):
        return lambda record: settings_of(record.configuration).get(key, MISSING)
    if key in SCORES or any(key in record.tags for record in records):
        tag = resolve_tag(key, records)
        return lambda record: MISSING if (value := record.value(tag)) is None else value
    raise UserError(f"{key}: none of the runs has such a setting or metric; {did_you_mean(key, _known(records))}")


def _known(records: Iterable[RunRecord]) -> list[str]:
    keys = dict.fromkeys(OWN)
    for record in records:
        keys |= dict.fromkeys(settings_of(record.configuration)) | dict.fromkeys(record.tags)
    return list(keys)
