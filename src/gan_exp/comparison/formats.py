"""A comparison as sentences, Markdown, LaTeX, CSV and plain values for JSON."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gan_exp.comparison.comparison import Comparison, Row
from gan_exp.comparison.grouping import MISSING, text
from gan_exp.comparison.metric_names import direction
from gan_exp.comparison.records import RunRecord
from gan_exp.comparison.statistics import LEVEL, TEST, Summary
from gan_exp.errors import LISTABLE
from gan_exp.runtime.words import plural

MOST_RUNS = 8  # of those that don't count, in the terminal
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}  # behind a metric's name: the direction that is better
LATEX = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", None: ""}


def sentences(comparison: Comparison, most: int = MOST_RUNS) -> Iterator[str]:
    """The answer, how it was found, and the runs that don't count; at most so many of these are named."""
    yield from findings(comparison)
    for what, pairs in (
        ("failed", [(record, record.reason or "no cause is known") for record in comparison.failed]),
        ("not compared", comparison.aside),
    ):
        yield from (f"{what}: {record.name}: {' '.join(why.split())}" for record, why in pairs[:most])
        if len(pairs) > most:
            yield f"{what}: {len(pairs) - most} more (all with --json)"


def findings(comparison: Comparison) -> Iterator[str]:
    """The answer, and how it was found."""
    yield from _answer(comparison)
    if comparison.protocol is not None:
        yield f"scores: {comparison.protocol}, {_at(comparison)}"
    yield from comparison.notes


def _answer(comparison: Comparison) -> Iterator[str]:
    by, rows = comparison.by, comparison.rows
    measured = [row for row in rows if by in row.values]
    if by is None:
        yield (
            "no run was evaluated, so nothing is ranked: gan-exp evaluate measures runs, evaluate_every_steps=... "
            "measures them in training"
        )
        return
    if comparison.better is None or not measured:
        return
    best = measured[0]
    found = f"{best.values[by]} over {_seeds(best.values[by])}"
    yield f"best by {by} ({comparison.better} is better): {best.group.label}, {found}"
    worse = [row.group.label for row in measured if row.is_worse]
    unclear = [row.group.label for row in measured[1:] if row.p is not None and not row.is_worse]
    untested = [row.group.label for row in measured[1:] if row.p is None]
    if worse:
        yield f"worse by more than the spread: {_listed(worse)}"
    if unclear:
        yield f"not shown to be worse: {_listed(unclear)}; more seeds would tell"
    if untested:
        yield f"not tested: {_listed(untested)}; a test needs two seeds of each, and a spread"
    if worse or unclear:
        yield f"mean +- standard deviation over seeds; {TEST}: worse where p < {LEVEL:g}"


def _listed(labels: Sequence[str]) -> str:
    more = f" (and {len(labels) - LISTABLE} more)" if len(labels) > LISTABLE else ""
    return "; ".join(labels[:LISTABLE]) + more


def _seeds(summary: Summary) -> str:
    return plural(summary.n, "seed")


def _at(comparison: Comparison) -> str:
    if comparison.at_best:
        return "at each run's best step, which its evaluations in training chose: partly by luck"
    steps = sorted(set(comparison.steps))
    if len(steps) > 3:
        return "at the last step of each run"
    return f"at step {' and '.join(f'{step:,}' for step in steps)}"


def counted(row: Row) -> str:
    """The number of runs that count, of all of the group."""
    runs = len(row.group.runs)
    return str(runs) if row.counting == runs else f"{row.counting} of {runs}"


def _table(comparison: Comparison, arrows: dict[Any, str], plus_minus: str) -> Iterator[list[str]]:
    """The title line, then the rows, as cells: a column for each setting that differs."""
    ranked = comparison.by is not None and comparison.better is not None
    titles = [tag + arrows[direction(tag)] for tag in comparison.tags]
    yield [*comparison.keys, "runs", *titles, *(["against best"] if ranked else [])]
    for row in comparison.rows:
        settings = [text(row.group.settings[key]) for key in comparison.keys]
        values = [str(row.values.get(tag, "")).replace(" +- ", plus_minus) for tag in comparison.tags]
        yield [*settings, counted(row), *values, *([comparison.difference(row)] if ranked else [])]


def markdown(comparison: Comparison) -> str:
    titles, *rows = ([cell.replace("|", r"\|") for cell in line] for line in _table(comparison, ARROWS, " ± "))
    settings = len(comparison.keys)
    rule = ["---" if place < settings or title == "against best" else "---:" for place, title in enumerate(titles)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (titles, rule, *rows))
    return "\n".join([table, "", *(f"- {sentence}" for sentence in sentences(comparison))]).replace(" +- ", " ± ")


def latex(comparison: Comparison) -> str:
    """A tabular for the package booktabs; the sentences are comments."""
    titles, *rows = _table(comparison, LATEX, r" $\pm$ ")
    settings = len(comparison.keys)
    kinds = ["l" if place < settings or title == "against best" else "r" for place, title in enumerate(titles)]
    lines = [*(f"% {sentence}" for sentence in sentences(comparison)), rf"\begin{{tabular}}{{{''.join(kinds)}}}"]
    lines += [r"\toprule", _latex_line(titles), r"\midrule", *map(_latex_line, rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines)


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(cell: str) -> str:
    """For LaTeX; the formulas that `_table` has put in stay."""
    parts = re.split(r"(\$\\\w+\$)", cell)
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    special |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    return "".join(
        part if place % 2 else "".join(special.get(letter, letter) for letter in part)
        for place, part in enumerate(parts)
    )


def csv_text(comparison: Comparison) -> str:
    """Means and standard deviations in columns of their own, of all metrics; p as a number."""
    tags = list(dict.fromkeys([*comparison.tags, *(tag for row in comparison.rows for tag in row.values)]))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [f"{tag}{part}" for tag in tags for part in ("", " sd", " n")]
    writer.writerow([*comparison.keys, "runs", "counting", "failed", *columns, "p"])
    for row in comparison.rows:
        settings = [
            "" if row.group.settings[key] is MISSING else text(row.group.settings[key]) for key in comparison.keys
        ]
        values = [cell for tag in tags for cell in _cells(row.values.get(tag))]
        writer.writerow([*settings, len(row.group.runs), row.counting, row.failed, *values, row.p])
    return file.getvalue().rstrip("\n")


def _cells(summary: Summary | None) -> list[Any]:
    return ["", "", 0] if summary is None else [summary.mean, summary.sd, summary.n]


def plain(comparison: Comparison) -> dict[str, Any]:
    """Plain values for JSON, with the values of each seed."""
    ranked = comparison.by is not None and comparison.better is not None
    return {
        "by": comparison.by,
        "better": comparison.better,
        "test": TEST if ranked else None,
        "level": LEVEL if ranked else None,
        "protocol": None if comparison.protocol is None else vars(comparison.protocol),
        "checkpoint": "best" if comparison.at_best else "last",
        "groups": [_plain_row(comparison, row) for row in comparison.rows],
        "failed": [_plain_run(record, record.reason) for record in comparison.failed],
        "not_compared": [_plain_run(record, why) for record, why in comparison.aside],
        "notes": list(comparison.notes),
    }


def _plain_row(comparison: Comparison, row: Row) -> dict[str, Any]:
    settings = {key: value for key, value in row.group.settings.items() if value is not MISSING}
    metrics = {
        tag: {"mean": one.mean, "sd": one.sd, "n": one.n, "values": list(one.values)} for tag, one in row.values.items()
    }
    return {
        "settings": settings,
        "runs": [str(record.path) for record in row.group.runs],
        "counting": row.counting,
        "failed": row.failed,
        "metrics": metrics,
        "best": comparison.is_best(row),
        "p": row.p,
        "worse": row.is_worse if row.p is not None else None,
    }


def _plain_run(record: RunRecord, why: str | None) -> dict[str, Any]:
    return {"run": str(record.path), "state": record.state, "step": record.step, "reason": why}
