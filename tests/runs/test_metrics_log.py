"""metrics.jsonl: complete lines, none twice."""

import json
import math
from pathlib import Path

from gan_exp.runs.metrics_log import MetricsLog, read_metrics


def test_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, None)
    log.add(1, {"loss/generator": 0.1})
    assert read_metrics(path) == [{"step": 1, "loss/generator": 0.1}]  # it does not wait for the end of the run
    log.add(2, {"loss/generator": 1 / 3})
    log.close()
    assert read_metrics(path) == [{"step": 1, "loss/generator": 0.1}, {"step": 2, "loss/generator": 1 / 3}]


def test_a_resumed_run_drops_later_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, None)
    for step in (2, 4, 6):
        log.add(step, {"loss/generator": step / 7})
    log.close()
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # cut by a crash
    log = MetricsLog(path, 4)
    log.add(5, {"loss/generator": 9.0})
    log.close()
    assert [line["step"] for line in read_metrics(path)] == [2, 4, 5]
    assert read_metrics(path)[1]["loss/generator"] == 4 / 7
    assert list(tmp_path.iterdir()) == [path]


def test_values_that_are_not_finite_become_null_and_are_named(tmp_path: Path) -> None:
    """JSON has no Infinity; readers get the finite values, and a resume keeps the lines as they are."""
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, None)
    log.add(1, {"evaluation/class_kl_cnn": math.inf, "loss/generator": 0.5, "gradient_norm": math.nan})
    log.close()
    (line,) = before = path.read_text().splitlines()
    assert json.loads(line, parse_constant=lambda name: 1 / 0) == {
        "step": 1,
        "evaluation/class_kl_cnn": None,
        "loss/generator": 0.5,
        "gradient_norm": None,
        "not_finite": {"evaluation/class_kl_cnn": "inf", "gradient_norm": "nan"},
    }
    assert read_metrics(path) == [{"step": 1, "loss/generator": 0.5}]
    MetricsLog(path, 1).close()
    assert path.read_text().splitlines() == before


def test_resuming_without_a_file(tmp_path: Path) -> None:
    MetricsLog(tmp_path / "metrics.jsonl", 4).close()
    assert read_metrics(tmp_path / "metrics.jsonl") == []
