"""Runs in the terminal: a line for each, those of a sweep below its name."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from gan_exp.comparison.grouping import label
from gan_exp.comparison.listing import Listing, count_states
from gan_exp.comparison.metric_names import direction
from gan_exp.comparison.records import RunRecord
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.display.columns import Column, Columns
from gan_exp.display.verdicts import STYLES as VERDICT_STYLES
from gan_exp.runtime.paths import path_from_here

STYLES = {"failed": "red", "stale": "yellow", "running": "cyan", "finished": "green", "stopped": "yellow"}
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}


def run_table(listing: Listing, by_sweep: bool) -> Columns:
    """`by_sweep`: the runs of a sweep stand together, below a line for the sweep."""
    records = listing.records
    columns = [
        Column("run", [_name(record, by_sweep) for record in records], folds=True),
        Column("state", [record.state for record in records], styles=[STYLES.get(one.state, "") for one in records]),
        Column("step", [f"{record.step}/{record.steps}" for record in records], right=True),
    ]
    for tag in listing.tags:
        values = [record.value(tag) for record in records]
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        columns.append(Column(tag + ARROWS[direction(tag)], cells, right=True))
    columns.append(Column("doctor", [record.verdict for record in records], folds=True))
    if any(listing.settings):
        columns.append(Column("not default", [label(settings) for settings in listing.settings], folds=True))
    return Columns(columns, headings=dict(_headings(records)) if by_sweep else None)


def verdict_table(records: Sequence[RunRecord], verdicts: Sequence[Sequence[Verdict]]) -> Columns:
    """The gravest verdict of each run with the remedy to try first, those of a sweep below its name."""
    grave = [one[0] if one else None for one in verdicts]
    titles = [
        "" if first is None else f"{first.title}{f' (and {len(all_of_it) - 1} more)' if len(all_of_it) > 1 else ''}"
        for first, all_of_it in zip(grave, verdicts, strict=True)
    ]
    styles = ["" if first is None else VERDICT_STYLES.get(first.name, "yellow") for first in grave]
    columns = [
        Column("run", [_name(record, True) for record in records], folds=True),
        Column("state", [record.state for record in records], styles=[STYLES.get(one.state, "") for one in records]),
        Column("verdict", titles, folds=True, styles=styles),
        Column("to try", ["" if one is None else " or ".join(one.remedies[:1]) for one in grave], folds=True),
    ]
    return Columns(columns, headings=dict(_headings(records)))


def _name(record: RunRecord, by_sweep: bool) -> str:
    if record.sweep is None:
        return record.name
    inside = str(record.path.relative_to(record.sweep))
    return f"  {inside}" if by_sweep else f"{record.sweep.name}/{inside}"


def _headings(records: Sequence[RunRecord]) -> Iterator[tuple[int, str]]:
    place = 0
    for sweep, group in groupby(records, key=lambda record: record.sweep):
        runs = list(group)
        if sweep is not None:
            yield place, f"{path_from_here(sweep)}  (sweep; {count_states(runs)})"
        place += len(runs)
