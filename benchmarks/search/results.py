"""What a search, and the runs of its best configuration with new seeds, have left behind."""

import csv
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from gan_exp.runs.run_dir import RunDir
from gan_exp.search.objective import Evaluations, parse_objectives, value_of

HISTORY = "history.csv"


class Found(NamedTuple):
    best: float
    trials: int
    complete: int


class NewSeeds(NamedTuple):
    mean: float
    count: int


def read_search(place: Path, metric: str) -> Found:
    with (place / HISTORY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(row[metric]) for row in rows if row["state"] == "complete"]
    return Found(min(values), len(rows), len(values))


def read_seeds(runs: Path, metric: str) -> NewSeeds:
    """The last scores of all runs below `runs`."""
    (objective,) = parse_objectives(metric)
    scores = []
    for path in sorted(runs.iterdir()):
        lines = Evaluations(RunDir(path)).by_step()
        value = value_of(objective, lines[max(lines)])
        assert value is not None
        scores.append(value)
    return NewSeeds(mean(scores), len(scores))
