"""The page about many runs: what differs between them, their groups over seeds, their curves and grids side by side."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_exp.comparison.comparison import Comparison, compare
from gan_exp.comparison.formats import findings
from gan_exp.comparison.grouping import MISSING, SEED, Group, differing, group_runs, settings_of, text
from gan_exp.comparison.records import RunRecord
from gan_exp.report import columns, images, thinning, words
from gan_exp.report.charts import chart_sections
from gan_exp.report.left_out import left_out
from gan_exp.report.page import render
from gan_exp.report.settings import shared_settings
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.words import plural

FEW = 6  # values of a parameter that a sentence lists


def page_of_many(
    records: Sequence[RunRecord],
    title: str,
    place: str,
    sweep: Path | None = None,
    made: str = "",
    by: str | None = None,
) -> str:
    """`sweep` is the directory of the sweep if the runs are those of one. `by` ranks; None: the usual metric.

    Raises UserError for a metric that no run has.
    """
    compared = compare(records, by)
    groups = _in_order(group_runs(records), compared)
    varied = differing([record.configuration for record in records])
    tags = columns.shown_tags(records, compared)
    curves = thinning.collect([words.logged(record.path) for record in records])
    samples = images.collect([RunDir(record.path).list_sample_grids() for record in records])
    group_of = {run.path: number for number, group in enumerate(groups) for run in group.runs}
    context = {
        "title": title,
        "place": place,
        "kind": "Sweep" if sweep is not None else "Runs in",
        "made": made,
        "lede": _lede(records, groups, varied),
        "groups": columns.group_rows(compared, tags, group_of) if len(groups) < len(records) else [],
        "group_columns": columns.group_columns(compared, tags),
        "groups_notes": _notes(compared),
        "columns": columns.run_columns(varied, tags),
        "runs": [
            {"number": number, "group": group_of[one.path], "cells": columns.run_cells(one, varied, tags)}
            for number, one in enumerate(records)
        ],
        "filter_example": _filter_example(records, varied, compared.by),
        "failures": _failures(records),
        "has_curves": any(curves.runs),
        "group_count": len(groups),
        "few_groups": "The best 8" if compared.better is not None else "The first 8",
        "parameters": varied,
        "metrics": _scatter_metrics(records, tags),
        "sample_count": len(samples.steps),
        "tiles": [
            {"number": number, "group": group_of[one.path], "name": one.name}
            for number, one in sorted(enumerate(records), key=lambda each: group_of[each[1].path])
            if any(place is not None for place in samples.runs[number])
        ],
        "settings": shared_settings([one.configuration for one in records]),
        "environment": words.environment(records),
        "commands": _commands(records, sweep),
        "left_out": left_out(curves, samples),
    }
    context["navigation"] = _navigation(context)
    data = {
        "many": True,
        "runs": [{"name": one.name, "values": _values(one)} for one in records],
        "groups": _group_data(records, groups, group_of),
        "steps": curves.steps,
        "series": curves.runs,
        "sections": chart_sections({tag for one in curves.runs for tag in one}, curves.spans, True, compared.by),
        "samples": {"steps": samples.steps, "runs": samples.runs},
    }
    return render("runs.html", context, data, samples.uris)


def _in_order(groups: Sequence[Group], compared: Comparison) -> list[Group]:
    """The best group first, as in the comparison."""
    rank = {row.group.runs[0].path: place for place, row in enumerate(compared.rows)}
    return sorted(groups, key=lambda group: rank.get(group.runs[0].path, len(rank)))


def _group_data(records: Sequence[RunRecord], groups: Sequence[Group], group_of: Mapping[Path, int]) -> list[Any]:
    places: list[list[int]] = [[] for _ in groups]
    for number, record in enumerate(records):
        places[group_of[record.path]].append(number)
    return [{"name": group.label, "runs": runs} for group, runs in zip(groups, places, strict=True)]


def _values(record: RunRecord) -> dict[str, Any]:
    """All that the filter and the scatter plot know of a run."""
    both = {**record.configuration, **settings_of(record.configuration)}
    chosen = {key: value if isinstance(value, int | float | str) else text(value) for key, value in both.items()}
    metrics = {tag: record.value(tag) for tag in record.tags}
    state = {"name": record.name, "state": record.state, "step": record.step, "doctor": record.verdict}
    return {**chosen, **metrics, **state}


def _lede(records: Sequence[RunRecord], groups: Sequence[Group], varied: Sequence[str]) -> str:
    states = Counter(record.state for record in records)
    counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
    seeds = sorted({str(record.seed) for record in records}, key=lambda seed: (len(seed), seed))
    over = f" in {len(groups)} groups of equal settings" if 1 < len(groups) < len(records) else ""
    parameters = [key for key in varied if key != SEED]
    swept = [f"{key} {_listed(records, key)}" for key in parameters[:FEW]]
    if len(parameters) > FEW:
        swept.append(f"{plural(len(parameters) - FEW, 'more setting')}")
    if len(seeds) > 1:
        swept.append(f"seed {', '.join(seeds)}" if len(seeds) <= FEW else f"{len(seeds)} seeds")
    return f"{plural(len(records), 'run')}{over}: {counted}." + (f" Varied: {'; '.join(swept)}." if swept else "")


def _listed(records: Sequence[RunRecord], key: str) -> str:
    values = dict.fromkeys(text(settings_of(one.configuration).get(key, MISSING)) for one in records)
    return ", ".join(values) if len(values) <= FEW else f"{len(values)} values"


def _notes(compared: Comparison) -> list[str]:
    """The answer first, then how it was found and which runs don't count; the failed ones have a section."""
    aside = [f"not compared: {record.name}: {reason}" for record, reason in compared.aside]
    more = [f"not compared: {len(aside) - FEW} more"] if len(aside) > FEW else []
    return [note.replace(" +- ", " ± ") for note in (*findings(compared), *aside[:FEW], *more)]


def _filter_example(records: Sequence[RunRecord], varied: Sequence[str], tag: str | None) -> str:
    example = [f"{key}={text(settings_of(records[0].configuration).get(key))}" for key in varied[:1]]
    values = sorted(value for one in records if tag is not None and (value := one.value(tag)) is not None)
    example += [f"{tag}<{words.number(float(values[len(values) // 2]))}"] if values else []
    return "Filter: " + " ".join([*example, "state=finished"])


def _failures(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "name": one.name,
            "reason": one.reason or f"Its process ended at step {one.step:,} without a word, as after kill -9.",
            "log": words.log_of(one.path),
        }
        for number, one in enumerate(records)
        if one.state in ("failed", "stale")
    ]


def _scatter_metrics(records: Sequence[RunRecord], tags: Sequence[str]) -> list[str]:
    """All metrics, those of the tables first."""
    return list(dict.fromkeys([*tags, *(tag for one in records for tag in one.tags)]))


def _commands(records: Sequence[RunRecord], sweep: Path | None) -> words.Pairs:
    found: words.Pairs = []
    given = None if sweep is None else words.sweep_words(sweep)
    if given is not None:
        found.append(("Train the sweep anew:", f"gan-exp train -m {shlex.join(given)}"))
    elif commands := [f"gan-exp train {shlex.join(one)}" for run in records if (one := words.training_words(run))]:
        found.append(("Train the runs anew:", "\n".join(dict.fromkeys(commands))))
    if sweep is not None:
        found.append(("Finish what is missing of it:", f"gan-exp resume {shlex.quote(str(sweep))}"))
    return found


def _navigation(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        *([("groups", "Groups")] if context["groups"] else []),
        ("runs", "Runs"),
        *([("failures", "Failed")] if context["failures"] else []),
        *([("curves", "Curves")] if context["has_curves"] else []),
        *([("parameters", "Parameters")] if context["parameters"] and context["metrics"] else []),
        *([("samples", "Samples")] if context["sample_count"] else []),
        ("configuration", "Configuration"),
        ("environment", "Environment"),
        ("commands", "Commands"),
    ]
