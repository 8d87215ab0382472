"""The tables of the page about many runs: of the groups as they were compared, and of the runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_exp.comparison.comparison import Comparison, Row
from gan_exp.comparison.formats import counted
from gan_exp.comparison.grouping import MISSING, settings_of, text
from gan_exp.comparison.metric_names import SECONDS, direction
from gan_exp.comparison.records import RunRecord
from gan_exp.report.words import duration, number

LOSSES = ("loss/generator", "loss/discriminator")  # shown of runs that were not evaluated
MOST_SETTINGS = 8  # columns


@dataclass(frozen=True)
class Column:
    """`kind` is how it is set: a number, a word, or text that may wrap. `first` is the order at the first click."""

    name: str
    kind: str = "word"
    first: str = "ascending"
    sorted: bool = False


@dataclass(frozen=True)
class Cell:
    """`sort` is what the page sorts by."""

    text: str
    sort: Any = ""
    kind: str = "word"
    spread: str = ""
    best: bool = False
    state: bool = False


def shown_tags(records: Sequence[RunRecord], compared: Comparison) -> list[str]:
    """The metrics of both tables: those of the comparison, the one that ranks first; else the losses."""
    evaluated = any(tag != SECONDS for tag in compared.tags)
    losses = [tag for tag in LOSSES if any(record.value(tag) is not None for record in records)]
    return [*([] if evaluated else losses), *compared.tags]


def run_columns(varied: Sequence[str], tags: Sequence[str]) -> list[Column]:
    return [
        Column("run"),
        Column("state"),
        Column("step", "number"),
        *map(Column, varied[:MOST_SETTINGS]),
        *map(_metric_column, tags),
        Column("doctor"),
    ]


def run_cells(record: RunRecord, varied: Sequence[str], tags: Sequence[str]) -> list[Cell]:
    own = settings_of(record.configuration)
    return [
        Cell(record.name, record.name),
        Cell(record.state, record.state, state=True),
        Cell(f"{record.step:,}", record.step, "number"),
        *(_setting_cell(own.get(key, MISSING)) for key in varied[:MOST_SETTINGS]),
        *(_metric_cell(tag, record.value(tag)) for tag in tags),
        Cell(record.verdict, record.verdict),
    ]


def group_columns(compared: Comparison, tags: Sequence[str]) -> list[Column]:
    tested = [Column("against the best")] if compared.better is not None and len(compared.rows) > 1 else []
    return [
        *map(Column, compared.keys[:MOST_SETTINGS]),
        Column("runs", "number"),
        *(_metric_column(tag, compared.better is not None) for tag in tags[:1]),
        *tested,
        *map(_metric_column, tags[1:]),
    ]


def group_rows(compared: Comparison, tags: Sequence[str], number_of: Mapping[Path, int]) -> list[dict[str, Any]]:
    """A row for each group, the best first; `number_of` gives the number of a run's group."""
    tested = compared.better is not None and len(compared.rows) > 1
    return [
        {
            "number": number_of[row.group.runs[0].path],
            "cells": [
                *(_setting_cell(row.group.settings.get(key, MISSING)) for key in compared.keys[:MOST_SETTINGS]),
                _count_cell(row),
                *(_mean_cell(tag, row, tag == compared.by and compared.is_best(row)) for tag in tags[:1]),
                *([_verdict_cell(compared, row, place)] if tested else []),
                *(_mean_cell(tag, row, False) for tag in tags[1:]),
            ],
        }
        for place, row in enumerate(compared.rows)
    ]


def _metric_column(tag: str, by_default: bool = False) -> Column:
    first = "descending" if direction(tag) == "higher" else "ascending"
    return Column(tag, "number", first, by_default)


def _setting_cell(value: Any) -> Cell:
    if value is MISSING:
        return Cell("")
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(text(value), value if numeric else text(value))


def _metric_cell(tag: str, value: float | None) -> Cell:
    if value is None:
        return Cell("", "", "number")
    return Cell(_shown(tag, value), value, "number")


def _count_cell(row: Row) -> Cell:
    return Cell(counted(row), row.counting, "number")


def _mean_cell(tag: str, row: Row, is_best: bool) -> Cell:
    summary = row.values.get(tag)
    if summary is None:
        return Cell("", "", "number")
    spread = "" if summary.sd is None else f"± {summary.sd:.2g}"
    return Cell(_shown(tag, summary.mean), summary.mean, "number", spread, is_best)


def _verdict_cell(compared: Comparison, row: Row, place: int) -> Cell:
    return Cell(compared.difference(row), place)


def _shown(tag: str, value: float) -> str:
    return duration(value) if tag == SECONDS else number(float(value))
