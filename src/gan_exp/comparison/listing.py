"""A list of runs with what is worth knowing of each: for the terminal, CSV and JSON."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_exp.comparison.defaults import changed_settings
from gan_exp.comparison.filters import value_of
from gan_exp.comparison.grouping import MISSING, text
from gan_exp.comparison.metric_names import direction, resolve_tag, usual_metric
from gan_exp.comparison.records import RunRecord
from gan_exp.comparison.states import STATES
from gan_exp.runtime.words import plural


@dataclass(frozen=True)
class Listing:
    """`settings` are, for each run, those that are not the defaults; `common` those that all runs share."""

    records: tuple[RunRecord, ...]
    tags: tuple[str, ...]
    settings: tuple[Mapping[str, Any], ...]
    common: Mapping[str, Any]


def list_records(records: Sequence[RunRecord], metrics: Sequence[str] | None) -> Listing:
    """`metrics` are those to show; None: the one that selected the best checkpoints. Raises UserError for others."""
    if metrics is None:
        usual = usual_metric(records)
        tags = [] if usual is None else [usual]
    else:
        tags = list(dict.fromkeys(resolve_tag(name, records) for name in metrics))
    changed = [changed_settings(record.configuration) for record in records]
    first = changed[0] if len(changed) > 1 else {}
    common = {key: value for key, value in first.items() if all(one.get(key, MISSING) == value for one in changed)}
    own = tuple({key: value for key, value in one.items() if key not in common} for one in changed)
    return Listing(tuple(records), tuple(tags), own, common)


def sort_records(records: Sequence[RunRecord], key: str, reverse: bool) -> list[RunRecord]:
    """By a setting, a metric or another value of `value_of`: the best first, where a metric has a better direction.

    Runs without a value come last.
    """
    value, down = value_of(key, records), _falls(key, records) != reverse
    having = [(found, record) for record in records if (found := value(record)) is not MISSING and found is not None]
    numbers = all(isinstance(found, int | float) for found, _ in having)
    having.sort(key=lambda pair: pair[0] if numbers else text(pair[0]), reverse=down)
    there = {id(record) for _, record in having}
    return [record for _, record in having] + [record for record in records if id(record) not in there]


def by_sweep(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs of a sweep one after another, where the first of them stands."""
    found: dict[Path, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.sweep or record.path, []).append(record)
    return [record for group in found.values() for record in group]


def _falls(key: str, records: Sequence[RunRecord]) -> bool:
    """Whether larger values are better."""
    known = {tag for record in records for tag in record.tags}
    return direction(key) == "higher" and (key in known or direction(resolve_tag(key, records)) == "higher")


def count_states(records: Sequence[RunRecord]) -> str:
    """For example `12 runs: 8 finished, 4 failed`."""
    found = Counter(record.state for record in records)
    states = ", ".join(f"{found[state]} {state}" for state in sorted(found, key=_order))
    return plural(len(records), "run") + (f": {states}" if records else "")


def _order(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)


def plain_record(record: RunRecord, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values for JSON; `settings` are those that are not the defaults."""
    return {
        "name": record.name,
        "path": str(record.path),
        "sweep": None if record.sweep is None else str(record.sweep),
        "state": record.state,
        "step": record.step,
        "steps": record.steps,
        "reason": record.reason,
        "seed": record.seed,
        "seconds": record.seconds,
        "settings": dict(settings),
        "metrics": {tag: record.value(tag) for tag in record.tags},
        "doctor": [verdict.plain() for verdict in record.verdicts],
        "configuration": dict(record.configuration),
    }


def as_csv(listing: Listing) -> str:
    """A line for each run: its settings that are not the defaults, and all of its metrics unless some were chosen."""
    about = ["name", "path", "state", "step", "steps", "doctor", "reason"]
    keys = list(dict.fromkeys([*listing.common, *(key for one in listing.settings for key in one)]))
    keys = [key for key in keys if key not in about]
    tags = list(dict.fromkeys([*listing.tags, *(tag for record in listing.records for tag in record.tags)]))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*about, *keys, *tags])
    for record, own in zip(listing.records, listing.settings, strict=True):
        settings = {**listing.common, **own}
        cells = ["" if key not in settings else text(settings[key]) for key in keys]
        known = [record.name, record.path, record.state, record.step, record.steps, record.verdict, record.reason]
        writer.writerow([*known, *cells, *(record.value(tag) for tag in tags)])
    return file.getvalue().rstrip("\n")
