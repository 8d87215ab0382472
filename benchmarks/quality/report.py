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
    """The evaluations during training of each experiment's first seed; empty where there were none.

    Seconds are those of all the run's CPU time, in proportion to steps.
    """
    columns = contest.columns
    rows = [["", "step", *(column.heading for column in columns), "CPU seconds, about"]]
    for first, *_ in results.values():
        for point in first["curve"]:
            scores = [f"{column.factor * point[column.score]:,.{column.digits}f}" for column in columns]
            seconds = first["training"]["cpu_seconds"] * point["step"] / first["steps"]
            rows.append([called(first), f"{point['step']:,}", *scores, f"{seconds:,.0f}"])
    return rows if len(rows) > 1 else []
