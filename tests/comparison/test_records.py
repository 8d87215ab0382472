import json
import os
from pathlib import Path
from typing import Any

import filelock
import pytest

from gan_exp.comparison.evaluations import Value
from gan_exp.comparison.records import read_runs, score_of
from gan_exp.diagnosis.examination import examine
from gan_exp.runs.run_dir import RunDir
from stories import story
from written_runs import write_evaluation, write_run

GONE = 2**22 + 1  # larger than the number of any process


def test_a_finished_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "steps=300", scores={150: {"fid_cnn": 9.0}, 300: {"fid_cnn": 7.0}})
    (record,) = read_runs([tmp_path])
    assert (record.path, record.name, record.state) == (run.path, "a", "finished")
    assert (record.step, record.steps, record.seed, record.seconds) == (300, 300, 0, 12.5)
    assert record.configuration["optimizer.generator.lr"] == 1e-3
    assert record.logged == {"loss/discriminator": 1.0, "loss/generator": 0.8}
    assert record.verdict == "healthy" and record.reason is None and record.sweep is None
    assert record.environment is not None and record.environment["device"] == "CPU, 1 thread"
    assert [one.step for one in record.evaluations] == [150, 300]
    assert (record.value("fid_cnn"), record.value("evaluation/fid_cnn"), record.value("loss/generator")) == (7, 7, 0.8)
    assert record.value("seconds") == 12.5 and record.value("kid_cnn") is None
    assert set(record.tags) == {"fid_cnn", "loss/discriminator", "loss/generator", "seconds"}


def test_the_configuration_is_read_as_the_run_itself_reads_it(tmp_path: Path) -> None:
    """Numbers such as 2e-4, dates, quotes; the parts that two files share are read once, and an odd file alone."""
    run = write_run(tmp_path / "a")
    texts = [
        run.config.read_text(),
        "name: 2026-01-01\nlr: 2e-4\nwidths:\n- 1\n- 2\nloss:\n  a: 'x'\nsteps: 5\n",
        'name: "a\n  b"\nlr: 2e-4\nsteps: 5\n',
        "# a comment\n{name: a, steps: 5}\n",
        "name: a & b * c\nsteps: 5\n",
    ]
    for number, text in enumerate(texts):
        folder = tmp_path / f"b{number}"
        folder.mkdir()
        (folder / "config.yaml").write_text(text)
    records = {record.name: record.configuration for record in read_runs([tmp_path])}
    from gan_exp.config.overrides import leaves

    for number in range(len(texts)):
        assert records[f"b{number}"] == leaves(RunDir(tmp_path / f"b{number}").read_config())


@pytest.mark.parametrize("text", ["", "{", "[1]", "a: &b 1\nc: *b\n", "steps: many", "\x00"])
def test_what_is_no_configuration_is_passed_over(text: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.yaml").write_text(text)
    assert [record.name for record in read_runs([tmp_path])] == ["a"]


@pytest.mark.parametrize(
    ("state", "details", "expected"),
    [
        ("finished", {}, "finished"),
        ("failed", {"reason": "the disk is full"}, "failed"),
        ("interrupted", {"reason": "SIGTERM"}, "stopped"),
        ("running", {"pid": GONE}, "stale"),
        ("running", {"pid": None}, "stale"),
        ("running", {"pid": 10**30}, "stale"),
        ("running", {"pid": os.getpid()}, "stale"),  # another process has its number now: nobody holds the lock
        ("running", {"pid": GONE, "host": "elsewhere"}, "running"),
        (None, {}, "unknown"),
    ],
)
def test_states(state: str | None, details: dict[str, Any], expected: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a", state=state, **details)
    (record,) = read_runs([tmp_path])
    assert (record.state, record.reason) == (expected, details.get("reason"))


def test_a_run_whose_process_holds_its_lock_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", state="running")
    with run.locked():
        assert read_runs([tmp_path])[0].state == "running"
        with pytest.raises(filelock.Timeout):  # looking has not taken the lock away
            filelock.FileLock(run.lock).acquire(blocking=False)
    assert read_runs([tmp_path])[0].state == "stale"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "3", '{"step": "x", "metrics": 3, "doctor": [3]}'])
def test_files_that_are_gone_or_odd(text: str | None, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    for path in (run.status, run.environment, run.metrics):
        path.unlink()
        if text is not None:
            path.write_text(text)
    (run.checkpoints / "step-00000001-cnn.evaluation.json").write_text(text or "")
    (record,) = read_runs([tmp_path])
    assert (record.state, record.step, record.logged, record.evaluations) == ("unknown", 0, {}, ())
    assert record.verdict == "too early to say"


def test_damaged_lines_and_odd_values_cost_no_more_than_themselves(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", state="failed", metrics=None, train_seconds="x", reason=["a"])
    good = '{"step": 5, "evaluation/fid_cnn": 3.0, "evaluation/kid_cnn": "x", "evaluation/panel": NaN}'
    lines = ['{"step": 1, "evaluation/fid_cnn": }', good, '{"evaluation/fid_cnn": 1}', '{"step": 9, "loss/generator"}']
    run.metrics.write_text('{"step": 7, "loss/generator": 0.5}\n' + "\n".join(lines) + '\n{"step": 10, "evalu')
    write_evaluation(run, 5, {"fid_cnn": [2.0]}, samples=[1], data_digest=["d"], reals="many")
    (record,) = read_runs([tmp_path])
    assert [one.step for one in record.evaluations] == [5, 5] and record.logged == {"loss/generator": 0.5}
    first, second = record.evaluations
    assert first.scores == {"fid_cnn": Value(3.0), "kid_cnn": Value(None), "panel": Value(None)}
    assert (second.protocol.samples, second.protocol.reals, second.protocol.data_digest) == (None, None, "['d']")
    assert (
        record.seconds is None and record.reason == "['a']" and len({one.protocol for one in record.evaluations}) == 2
    )


def test_evaluations_with_their_protocols(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "steps=300", "evaluate_count=500", scores={300: {"fid_cnn": 7.0, "panel": 2.0}})
    write_evaluation(run, 300, {"fid_cnn": [6.0, 6.5]})
    write_evaluation(run, 150, {"fid_cnn": [8.0]}, samples=2000, split="held_out")
    (record,) = read_runs([tmp_path])
    early, training, measured = record.evaluations
    assert (early.step, early.seeds, early.scores["fid_cnn"]) == (150, 1, Value(8.0))
    assert (training.step, training.protocol.in_training, training.protocol.samples) == (300, True, 500)
    assert (training.protocol.features, training.scores["fid_cnn"]) == ("cnn", Value(7.0))
    assert (measured.step, measured.seeds, measured.scores["fid_cnn"]) == (300, 2, Value(6.25, 0.1, 2))
    assert record.value("fid_cnn") == 6.25 and record.value("panel") == 2.0
    assert record.evaluation(150) is early and record.evaluation(tag="panel") is training
    assert measured.protocol.differences(early.protocol) == [
        "samples: 10000 and 2000",
        "split: train and held_out",
    ]
    assert "10,000 samples, features cnn abc, digits (train)" in str(measured.protocol)
    assert training.protocol != measured.protocol


@pytest.mark.parametrize(
    ("metric", "expected"), [("fid", 200), ("recall", 100), ("mine.metric", None), ("nearest", None), ("kid", None)]
)
def test_the_best_evaluation_is_the_first_of_equals(metric: str, expected: int | None, tmp_path: Path) -> None:
    scores = {100: {"fid_cnn": 8.0, "recall_cnn": 0.5}, 200: {"fid_cnn": 6.0}, 300: {"fid_cnn": 6.0}}
    write_run(tmp_path / "a", config={"best_metric": metric}, scores=scores)
    best = read_runs([tmp_path])[0].best
    assert (None if best is None else best.step) == expected


def test_verdicts_are_those_of_the_doctor(tmp_path: Path) -> None:
    """Where the run has not written them, or an evaluation came after the end, its records are read."""
    run = write_run(tmp_path / "a", state="failed", doctor=None)
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in story()))
    (record,) = read_runs([tmp_path])
    assert record.verdicts == examine(run)[1] and record.verdict == "healthy"
    write_evaluation(run, 900, {"nearer_cnn": [0.7]})
    (record,) = read_runs([tmp_path])
    assert record.verdict == "memorising"


def test_runs_and_sweeps_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b/0-lr=1", "b/1-lr=2", "a/run", "c/run"):
        write_run(tmp_path / name)
    (tmp_path / "b" / "multirun.yaml").write_text("")
    (tmp_path / "link").symlink_to("a")
    records = read_runs([tmp_path / "b", tmp_path])
    assert [record.name for record in records] == ["0-lr=1", "1-lr=2", "a/run", "c/run"]
    assert [record.sweep for record in records] == [tmp_path / "b", tmp_path / "b", None, None]
    assert read_runs([tmp_path / "nowhere"]) == []


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("fid_cnn", ("fid", "lower")),
        ("fid", ("fid", "lower")),
        ("panel_cnn", ("panel_cnn", "lower")),
        ("kid_subset_sd_cnn", ("kid_subset_sd", None)),
        ("recall_inception", ("recall", "higher")),
        ("loss/generator", None),
        ("fidelity", None),
    ],
)
def test_the_entry_of_a_score(tag: str, expected: tuple[str, str | None] | None) -> None:
    score = score_of(tag)
    assert (None if score is None else (score.name, score.better)) == expected
