"""From results to a table: the mean and the standard deviation over seeds, beside published figures."""

import statistics
from typing import Any

from benchmarks.quality.experiments import Comparison
from benchmarks.tables import Table

Results = dict[str, list[dict[str, Any]]]  # for each experiment, one entry per seed


def mean_and_spread(values: list[float], digits: int) -> str:
    """The mean, and the sample standard deviation where there are several."""
    mean = f"{statistics.fmean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values):,.{digits}f}"


def called(run: dict[str, Any]) -> str:
    """The arguments that define the experiment, without those of a single run."""
    return f"`{' '.join(word for word in run['words'] if not word.startswith(('seed=', 'device', 'display=')))}`"


def table(comparison: Comparison, results: Results) -> Table:
    """A row for each experiment, then the published rows."""
    headings = [column.heading for column in comparison.columns]
    unit, cost_of = ("seconds", "seconds") if comparison.wall_clock else ("CPU seconds", "cpu_seconds")
    first = "recipe or paper" if comparison.published else "recipe"
    rows = [[first, *headings, "seeds", "steps x batch", f"{unit} per run"]]
    for runs in results.values():
        scores = [
            mean_and_spread([column.factor * run["scores"][column.score] for run in runs], column.digits)
            for column in comparison.columns
        ]
        cost = mean_and_spread([run["training"][cost_of] for run in runs], int(comparison.wall_clock))
        size = f"{runs[0]['steps']:,} x {runs[0]['batch_size']}"
        rows.append([called(runs[0]), *scores, str(len(runs)), size, cost])
    rows += [[*published, "", "", ""] for published in comparison.published]
    return rows


def extremes(comparison: Comparison, results: Results) -> str:
    """The lowest and highest value of each score, which a mean hides."""
    sentences = []
    for name, runs in results.items():
        parts = []
        for column in comparison.columns if len(runs) > 1 else ():
            values = [column.factor * run["scores"][column.score] for run in runs]
            parts.append(f"{column.heading} {min(values):.{column.digits}f} to {max(values):.{column.digits}f}")
        if parts:
            sentences.append(f"{name} ({', '.join(parts)})")
    return f"Range over the seeds: {'; '.join(sentences)}." if sentences else ""


def progress(comparison: Comparison, results: Results) -> Table:
    """The evaluations during training, over the seeds; empty if there were none.

    Seconds are a share of the run's CPU time in proportion to the steps.
    """
    rows = [["recipe", "step", *(column.heading for column in comparison.columns), "CPU seconds (approximate)"]]
    for runs in results.values():
        # All seeds of an experiment have the same steps; strict, so that a mixture of two settings fails.
        for points in zip(*(run["curve"] for run in runs), strict=True):
            scores = [
                mean_and_spread([column.factor * point[column.score] for point in points], column.digits)
                for column in comparison.columns
            ]
            step = points[0]["step"]
            seconds = statistics.fmean(run["training"]["cpu_seconds"] for run in runs) * step / runs[0]["steps"]
            rows.append([called(runs[0]), f"{step:,}", *scores, f"{seconds:,.0f}"])
    return rows if len(rows) > 1 else []
