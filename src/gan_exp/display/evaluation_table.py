"""An evaluation as tables: each score with its spread, the direction that is better, and its meaning."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

from gan_exp.metrics.metric import Score

GAP = 2  # columns between columns


def score_table(report: Mapping[str, Any], title: str, scores: Iterable[Score]) -> Table:
    """Each of `scores` that was measured beside the data's own, with the direction that is better and its meaning."""
    features = report["protocol"]["features"]["name"]
    entries = {score.tag(features): score for score in scores}
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("score", "mean", "sd", "data", "better", "meaning"):
        table.add_column(column, justify="right" if column in ("mean", "sd", "data") else "left")
    for tag, value in report["metrics"].items():
        sd = "" if value["sd"] is None else f"{value['sd']:.2g}"
        score = entries[tag]
        meaning = value.get("reason") or score.meaning
        table.add_row(tag, _number(value["mean"]), sd, _number(value.get("data")), score.better or "", meaning)
    return table


def comparison_tables(reports: Mapping[str, Mapping[str, Any]], width: int) -> Iterator[Table]:
    """Means and standard deviations over seeds: a column for each run, and the data's own scores in the last one.

    Each table has as many runs as there is room for without breaking a name or a number.
    """
    names = list(dict.fromkeys(name for report in reports.values() for name in report["metrics"]))
    found = {run: [report["metrics"].get(name, {}) for name in names] for run, report in reports.items()}
    data = [
        next((one["data"] for one in each if one.get("data") is not None), None)
        for each in zip(*found.values(), strict=True)
    ]
    columns = [(run, list(map(_with_spread, values))) for run, values in found.items()]
    first, last = ("score", names), ("data", list(map(_number, data)))
    room = width - _columns_of(first) - _columns_of(last)
    while columns:
        here = [columns.pop(0)]
        while columns and sum(map(_columns_of, [*here, columns[0]])) <= room:
            here.append(columns.pop(0))
        table = Table(box=None, padding=(0, GAP, 0, 0))
        for title, _ in (first, *here, last):
            table.add_column(title, justify="left" if title == "score" else "right", no_wrap=True)
        for row in zip(*(cells for _, cells in (first, *here, last)), strict=True):
            table.add_row(*row)
        yield table


def _columns_of(column: tuple[str, list[str]]) -> int:
    title, cells = column
    return max(map(len, (title, *cells))) + GAP


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _with_spread(value: Mapping[str, Any]) -> str:
    if value.get("mean") is None:
        return "infinite" if "reason" in value else ""
    return f"{value['mean']:.4g}" + ("" if value["sd"] is None else f" +- {value['sd']:.2g}")


def class_table(classes: Mapping[str, Any]) -> Table:
    """The share of each class in the data and among the samples."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column, justify in (("class", "left"), ("data", "right"), ("samples", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    rows = zip(classes["names"], classes["data"], classes["samples"], strict=True)
    for name, real, fake in rows:
        table.add_row(str(name), f"{real / sum(classes['data']):.1%}", f"{fake / sum(classes['samples']):.1%}")
    return table
