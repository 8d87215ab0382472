"""From results to tables: mean and standard deviation over seeds, beside the data's own and published figures."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.quality.experiments import Column, Comparison
from benchmarks.tables import Table

Results = dict[str, list[dict[str, Any]]]  # for each experiment, one entry per seed
STEPS_ALONE = "steps alone"  # time by the clock of a run that was not timed as a whole command
NOT_FINITE = "not finite"


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """The mean, and the sample standard deviation where there are several."""
    mean = f"{statistics.fmean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values):,.{digits}f}"


def cell(column: Column, scores: Iterable[dict[str, Any]]) -> str:
    """The column's score over the seeds; seeds that lack it are left out, and those where it isn't finite counted."""
    found = [score[column.score] for score in scores if column.score in score]
    finite = finite_of(column, found)
    if len(finite) == len(found):
        return mean_and_spread(finite, column.digits) if found else ""
    missing = f"{NOT_FINITE} in {len(found) - len(finite)} of {len(found)}"
    return f"{missing}, else {mean_and_spread(finite, column.digits)}" if finite else NOT_FINITE


def finite_of(column: Column, values: Iterable[float | None]) -> list[float]:
    return [column.factor * value for value in values if value is not None and math.isfinite(value)]


def called(run: dict[str, Any]) -> str:
    """The arguments that define the experiment, without those of a single run."""
    return f"`{' '.join(word for word in run['words'] if not word.startswith(('seed=', 'device', 'display=')))}`"


def table(comparison: Comparison, results: Results) -> Table:
    """A row for each experiment, then the data's own and the published ones."""
    headings = [column.heading for column in comparison.columns]
    first = "recipe or paper" if comparison.published else "recipe"
    unit = "seconds" if comparison.wall_clock else "CPU seconds"
    rows = [[first, *headings, "seeds", "steps x batch", f"{unit} per run"]]
    for runs in results.values():
        size = f"{runs[0]['steps']:,} x {runs[0]['batch_size']}"
        scores = _scores(comparison.columns, runs)
        rows.append([called(runs[0]), *scores, str(len(runs)), size, cost(comparison, runs)])
    rows += [[*row, "", "", ""] for row in (*_data_row(comparison.columns, results), *comparison.published)]
    return rows


def details(comparison: Comparison, results: Results) -> Table:
    """The second table, with a row for each experiment and the data's own."""
    rows = [["recipe", *(column.heading for column in comparison.details)]]
    rows += [[called(runs[0]), *_scores(comparison.details, runs)] for runs in results.values()]
    return [*rows, *map(list, _data_row(comparison.details, results))]


def _scores(columns: Iterable[Column], runs: Sequence[dict[str, Any]]) -> list[str]:
    return [cell(column, [run["scores"] for run in runs]) for column in columns]


def _data_row(columns: Iterable[Column], results: Results) -> list[tuple[str, ...]]:
    """All runs of a comparison are measured against the same data."""
    own = next((run["data"] for runs in results.values() for run in runs if run.get("data")), None)
    return [] if own is None else [("real data", *(cell(column, [own]) for column in columns))]


def cost(comparison: Comparison, runs: Sequence[dict[str, Any]]) -> str:
    """Of the whole command if that was measured, otherwise the seconds that the runs' own records have."""
    kind = "seconds" if comparison.wall_clock else "cpu_seconds"
    if all(kind in run["training"] for run in runs):
        return mean_and_spread([run["training"][kind] for run in runs], int(comparison.wall_clock))
    threads = runs[0]["training"]["threads"]
    seconds = mean_and_spread([run["training"]["steps_seconds"] for run in runs], 0)
    return f"{seconds} ({STEPS_ALONE}, {threads} thread{'s' * (threads > 1)})"


def extremes(comparison: Comparison, results: Results) -> str:
    """The lowest and highest value of each score, which a mean hides."""
    sentences = []
    for name, runs in results.items():
        parts = []
        for column in comparison.columns if len(runs) > 1 else ():
            values = finite_of(column, (run["scores"].get(column.score) for run in runs))
            if column.ranged and values:
                parts.append(f"{column.heading} {min(values):.{column.digits}f} to {max(values):.{column.digits}f}")
        if parts:
            sentences.append(f"{name} ({', '.join(parts)})")
    return f"Range over the seeds: {'; '.join(sentences)}." if sentences else ""


def progress(comparison: Comparison, results: Results) -> Table:
    """The evaluations during training, over the seeds; empty if there were none.

    Seconds are a share of the run's time in proportion to the steps.
    """
    rows = [["recipe", "step", *(column.heading for column in comparison.columns), "CPU seconds (approximate)"]]
    for runs in results.values():
        # All seeds of an experiment have the same steps; strict, so that a mixture of two settings fails.
        for points in zip(*(run["curve"] for run in runs), strict=True):
            step = points[0]["step"]
            seconds = statistics.fmean(map(train_seconds, runs)) * step / runs[0]["steps"]
            scores = [cell(column, points) for column in comparison.columns]
            rows.append([called(runs[0]), f"{step:,}", *scores, f"{seconds:,.0f}"])
    return rows if len(rows) > 1 else []


def train_seconds(run: dict[str, Any]) -> float:
    """CPU seconds of the command, or those on the clock that the steps took."""
    spent: float = run["training"].get("cpu_seconds", run["training"].get("steps_seconds", math.nan))
    return spent
