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


def called(run: dict[str, Any]) -> str:
    """The words that make the experiment, without those of the one run."""
    return f"`{' '.join(word for word in run['words'] if not word.startswith(('seed=', 'device', 'display=')))}`"


def table(contest: Contest, results: Results) -> Table:
    """A row each experiment, then the published ones."""
    headings = [column.heading for column in contest.columns]
    unit, cost_of = ("seconds", "seconds") if contest.by_the_clock else ("CPU seconds", "cpu_seconds")
    rows = [["", *headings, "seeds", "steps x batch", f"{unit} a run"]]
    for runs in results.values():
        scores = [
            mean_and_spread([column.factor * run["scores"][column.score] for run in runs], column.digits)
            for column in contest.columns
        ]
        cost = mean_and_spread([run["training"][cost_of] for run in runs], int(contest.by_the_clock))
        size = f"{runs[0]['steps']:,} x {runs[0]['batch_size']}"
        rows.append([called(runs[0]), *scores, str(len(runs)), size, cost])
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


def course(contest: Contest, results: Results) -> Table:
    """The evaluations during training, over the seeds; empty where there were none.

    Seconds are those of all the run's CPU time, in proportion to steps.
    """
    rows = [["", "step", *(column.heading for column in contest.columns), "CPU seconds, about"]]
    for runs in results.values():
        # An experiment's seeds have the same steps; strict, so that a mixture of two settings would not pass.
        for points in zip(*(run["curve"] for run in runs), strict=True):
            scores = [
                mean_and_spread([column.factor * point[column.score] for point in points], column.digits)
                for column in contest.columns
            ]
            step = points[0]["step"]
            seconds = statistics.fmean(run["training"]["cpu_seconds"] for run in runs) * step / runs[0]["steps"]
            rows.append([called(runs[0]), f"{step:,}", *scores, f"{seconds:,.0f}"])
    return rows if len(rows) > 1 else []
