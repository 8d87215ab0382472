"""Several runs' scores beside each other, in as many tables as the terminal's columns take."""

import io
from typing import Any

import pytest
from rich.console import Console

from gan_exp.display.evaluation_table import comparison_tables, score_table
from gan_exp.metrics.metric import Score

RUNS = ["10-10-39-mlp-digits", "10-11-02-dcgan-digits", "2026-11-26/10-12-45-resnet-digits"]


def report(mean: float, **more: Any) -> dict[str, Any]:
    return {"metrics": {"fid_cnn": {"mean": mean, "sd": 0.01, "data": 0.02}, **more}}


def printed(width: int) -> list[list[list[str]]]:
    """Of each table the words of each line."""
    reports = {run: report(1.5 + number) for number, run in enumerate(RUNS)}
    reports[RUNS[2]] = report(3.5, recall={"mean": 0.25, "sd": None})
    tables = []
    for table in comparison_tables(reports, width):
        written = io.StringIO()
        Console(file=written, width=width).print(table)
        lines = [line.rstrip() for line in written.getvalue().splitlines()]
        assert all(len(line) <= width for line in lines)
        tables.append([line.split() for line in lines])
    return tables


@pytest.mark.parametrize(("width", "tables"), [(200, [3]), (80, [2, 1]), (50, [1, 1, 1])])
def test_each_name_is_in_one_piece(width: int, tables: list[int]) -> None:
    found = printed(width)
    assert [len(table[0]) - 2 for table in found] == tables
    assert [run for table in found for run in table[0][1:-1]] == RUNS
    assert all(table[0][0] == "score" and table[0][-1] == "data" for table in found)


def test_scores_with_their_spread_and_what_is_missing() -> None:
    ((_, fid, recall),) = printed(200)
    assert fid == ["fid_cnn", *["1.5", "+-", "0.01", "2.5", "+-", "0.01", "3.5", "+-", "0.01"], "0.02"]
    assert recall == ["recall", "0.25"]


def test_a_score_has_its_direction_and_meaning() -> None:
    one = {
        "metrics": {
            "fid_cnn": {"mean": 1.5, "sd": 0.01, "data": 0.02},
            "odd": {"mean": None, "sd": None, "data": None, "reason": "infinite: a class is missing"},
        },
        "protocol": {"features": {"name": "cnn"}},
    }
    scores = [Score("fid", "how far away", "lower"), Score("odd", "how odd", None, of_features=False)]
    written = io.StringIO()
    Console(file=written, width=200).print(score_table(one, "a run", scores))
    _, header, fid, odd = [line.split() for line in written.getvalue().splitlines()]
    assert header == ["score", "mean", "sd", "data", "better", "meaning"]
    assert fid == ["fid_cnn", "1.5", "0.01", "0.02", "lower", "how", "far", "away"]
    assert odd == ["odd", "infinite:", "a", "class", "is", "missing"]
