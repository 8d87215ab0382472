"""A comparison of groups of runs in the terminal: a row for each group, the best one first."""

from gan_exp.comparison.comparison import Comparison
from gan_exp.comparison.formats import ARROWS, counted
from gan_exp.comparison.metric_names import direction
from gan_exp.display.columns import Column, Columns


def comparison_table(comparison: Comparison) -> Columns:
    """The settings, the number of runs, the metrics over the seeds, and the difference from the best."""
    rows = comparison.rows
    columns = [
        Column("settings", [row.group.label for row in rows], folds=True),
        Column("runs", [counted(row) for row in rows], right=True),
    ]
    for tag in comparison.tags:
        cells = [str(row.values[tag]) if tag in row.values else "" for row in rows]
        columns.append(Column(tag + ARROWS[direction(tag)], cells, right=True))
        if tag == comparison.by and comparison.better is not None:
            styles = ["green" if comparison.is_best(row) else "dim" * row.is_worse for row in rows]
            columns.append(Column("against best", [comparison.difference(row) for row in rows], styles=styles))
    return Columns(columns)
