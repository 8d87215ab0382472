"""From results to a table: the mean and the standard deviation over seeds, beside published figures."""

import statistics
from typing import Any

from benchmarks.quality.experiments import Contest
from benchmarks.tables import Table

Results = dict[str, list[dict[str, Any]]]  # of each experiment, one a seed


def mean_and_spread(values: list[float], digits: int) -> str:
    """The mean, and the sample standard deviation where there are several."""
    mean = f"{statistics.fmean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values):,.{digits}f}"


def table(contest: Contest, results: Results) -> Table:
    """A row each experiment, then the published ones."""
    headings = [column.heading for column in contest.columns]
    rows = [["", *headings, "seeds", "steps x batch", "CPU seconds a run"]]
    for name, runs in results.items():
        scores = [
            mean_and_spread([column.factor * run["scores"][column.score] for run in runs], column.digits)
            for column in contest.columns
        ]
        cost = mean_and_spread([run["training"]["cpu_seconds"] for run in runs], 0)
        size = f"{runs[0]['steps']:,} x {runs[0]['batch_size']}"
        rows.append([f"`experiment={name}`", *scores, str(len(runs)), size, cost])
    rows += [[*published, "", "", ""] for published in contest.published]
    return rows


def extremes(contest: Contest, results: Results) -> str:
    """The worst and the best seed of each score, which a mean hides."""
    sentences = []
    for name, runs in results.items():
        parts = []
        for column in contest.columns if len(runs) > 1 else ():
            values = [column.factor * run["scores"][column.score] for run in runs]
            parts.append(f"{column.heading} {min(values):.{column.digits}f} to {max(values):.{column.digits}f}")
        if parts:
            sentences.append(f"{name}: {', '.join(parts)}")
    return f"Over the seeds, {'; '.join(sentences)}." if sentences else ""
