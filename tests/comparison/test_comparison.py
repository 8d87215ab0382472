"""Groups compared over seeds: what counts, what is set aside, what is said of it."""

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from gan_exp.comparison.comparison import Comparison, compare
from gan_exp.comparison.formats import csv_text, latex, markdown, plain, sentences
from gan_exp.comparison.records import read_runs
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import json_text
from written_runs import write_evaluation, write_run

FIDS = {1e-3: (3.0, 2.8, 3.1), 2e-4: (7.0, 7.5, 8.0), 5e-4: (3.0, 3.2, 3.3)}


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Three learning rates of three seeds, evaluated in training."""
    for lr, values in FIDS.items():
        for seed, fid in enumerate(values):
            scores = {150: {"fid_cnn": 2 * fid}, 300: {"fid_cnn": fid, "recall_cnn": 1 / fid}}
            write_run(tmp_path / f"{lr}-{seed}", config={"lr": lr, "seed": seed, "steps": 300}, scores=scores)
    return tmp_path


def compared(place: Path, **options: object) -> Comparison:
    return compare(read_runs([place]), **options)  # type: ignore[arg-type]


def said(place: Path, **options: object) -> str:
    return "\n".join(sentences(compared(place, **options)))


def labels(comparison: Comparison) -> list[str]:
    return [row.group.label for row in comparison.rows]


def test_groups_are_ranked_by_the_metric_of_the_best_checkpoints(swept: Path) -> None:
    found = compared(swept)
    assert (found.keys, found.by, found.better) == (("lr",), "fid_cnn", "lower")
    assert labels(found) == ["lr=0.001", "lr=0.0005", "lr=0.0002"]
    best, near, far = found.rows
    assert best.values["fid_cnn"].values == (3.0, 2.8, 3.1) and best.counting == 3
    assert found.is_best(best) and best.p is None and found.difference(best) == "best"
    assert near.p is not None and near.p > 0.05 and found.difference(near) == f"unclear, p={near.p:.2g}"
    assert far.p is not None and far.is_worse and found.difference(far) == f"worse, p={far.p:.2g}"
    assert found.tags == ("fid_cnn", "seconds") and found.steps == (300,) * 9


def test_the_answer_and_how_it_was_found(swept: Path) -> None:
    assert said(swept).splitlines() == [
        "best by fid_cnn (lower is better): lr=0.001, 2.967 +- 0.15 over 3 seeds",
        "worse by more than the spread: lr=0.0002",
        "not shown to be worse: lr=0.0005; more seeds would tell",
        "mean +- standard deviation over seeds; Welch's t-test against the best, adjusted by Holm's method: "
        "worse where p < 0.05",
        "scores: during training, 5,000 samples, features cnn, digits (train), at step 300",
    ]


def test_by_another_metric_and_with_others_beside_it(swept: Path) -> None:
    found = compared(swept, by="recall", metrics=["loss/generator", "fid"])
    assert (found.by, found.better) == ("recall_cnn", "higher")
    assert found.tags == ("recall_cnn", "loss/generator", "fid_cnn") and labels(found)[0] == "lr=0.001"
    undirected = compared(swept, by="loss/generator")
    assert undirected.better is None and labels(undirected) == ["lr=0.001", "lr=0.0002", "lr=0.0005"]
    assert "loss/generator has no better direction, so nothing is ranked" in undirected.notes
    assert compared(swept, by="seconds").better == "lower"


def test_failed_and_unfinished_runs_are_named_and_do_not_count(swept: Path) -> None:
    config = {"steps": 300, "lr": 1e-3}
    good = {300: {"fid_cnn": 0.0}}
    write_run(swept / "x", config={**config, "seed": 3}, state="failed", reason="step 9:\nnan", scores=good)
    write_run(swept / "y", config={**config, "seed": 4}, state="interrupted", step=7, scores=good)
    write_run(swept / "z", config={**config, "lr": 9.0}, state="failed", reason="diverged")
    found = compared(swept)
    best = found.rows[0]
    assert (best.counting, len(best.group.runs), best.failed) == (3, 5, 1) and labels(found)[-1] == "lr=9"
    assert found.difference(found.rows[-1]) == "no value"
    lines = said(swept).splitlines()
    assert "lr=0.001: 1 of 5 runs failed; its means are of the others alone" in lines
    assert "failed: x: step 9: nan" in lines and "failed: z: diverged" in lines
    assert "not compared: y: stopped at step 7 of 300" in lines


def test_a_failed_run_that_was_trained_again_is_not_held_against_its_group(swept: Path) -> None:
    write_run(swept / "0-first", config={"steps": 300, "lr": 1e-3, "seed": 1}, state="failed", reason="a full disk")
    assert [row.failed for row in compared(swept).rows] == [0, 0, 0]


def test_the_same_run_twice_counts_once(swept: Path) -> None:
    """Equal values would make the spread look smaller than it is."""
    scores = {300: {"fid_cnn": 3.0}}
    write_run(swept / "0-again", config={"lr": 1e-3, "seed": 0, "steps": 300}, scores=scores)
    found = compared(swept)
    assert found.rows[0].values["fid_cnn"].n == 3
    assert "not compared: 0-again: the same as 0.001-0, seed 0 included" in said(swept)


def test_scores_of_another_protocol_are_not_compared(swept: Path) -> None:
    config = {"lr": 1e-3, "steps": 300, "seed": 3, "evaluate_count": 200}
    run = write_run(swept / "x", config=config, scores={300: {"fid_cnn": 1.0}})
    assert compared(swept).rows[0].values["fid_cnn"].n == 3
    assert "not compared: x: measured with another protocol (samples: 5000 and 200)" in said(swept)
    write_evaluation(run, 300, {"fid_cnn": [5.0, 6.0]}, samples=5000)  # not in training either
    assert compared(swept).rows[0].values["fid_cnn"].n == 3
    found = compared(swept, source="evaluate")
    assert labels(found)[0] == "lr=0.001" and found.rows[0].values["fid_cnn"].values == (5.5,)
    assert "not evaluated (evaluate)" in said(swept, source="evaluate")


def test_scores_on_other_data_are_not_compared(swept: Path) -> None:
    write_run(swept / "x", config={"steps": 300, "dataset.resize": 16}, scores={300: {"fid_cnn": 1.0}})
    write_run(swept / "y", config={"steps": 300, "dataset.name": "mnist"}, scores={300: {"fid_cnn": 1.0}})
    text = said(swept)
    assert "not compared: x: measured with another protocol (data settings: resize=None held_out=0.0 and " in text
    assert "not compared: y: measured with another protocol (dataset: digits and mnist" in text


def test_the_protocol_of_most_runs_counts_and_then_that_of_evaluate(swept: Path) -> None:
    for record in read_runs([swept]):
        write_evaluation(RunDir(record.path), 300, {"fid_cnn": [10 - (record.value("fid_cnn") or 0)]})
    found = compared(swept)
    assert found.protocol is not None and not found.protocol.in_training and labels(found)[0] == "lr=0.0002"
    assert "by gan-exp evaluate, 10,000 samples, features cnn abc, digits (train), at step 300" in said(swept)
    training = compared(swept, source="training")
    assert training.protocol is not None and training.protocol.in_training and labels(training)[0] == "lr=0.001"


def test_an_evaluation_of_an_earlier_checkpoint_is_not_compared(swept: Path) -> None:
    write_run(swept / "x", config={"lr": 1e-3, "steps": 300, "seed": 3}, scores={150: {"fid_cnn": 1.0}})
    assert "not compared: x: evaluated at step 150, others at 300" in said(swept)


def test_where_the_length_is_compared_each_is_measured_at_its_end(tmp_path: Path) -> None:
    for steps in (100, 200):
        for seed in (0, 1):
            scores = {steps: {"fid_cnn": 1000.0 / steps + seed}}
            write_run(tmp_path / f"{steps}-{seed}", config={"steps": steps, "seed": seed}, scores=scores)
    found = compared(tmp_path)
    assert labels(found) == ["steps=200", "steps=100"] and not found.aside
    assert "at step 100 and 200" in said(tmp_path)


def test_the_best_evaluations_of_each_run(swept: Path) -> None:
    write_run(swept / "x", config={"lr": 9.0, "steps": 300}, scores={150: {"fid_cnn": 1.0}, 300: {"fid_cnn": 9.0}})
    assert labels(compared(swept))[0] == "lr=0.001"
    found = compared(swept, at_best=True)
    assert labels(found)[0] == "lr=9" and not found.aside
    assert "at each run's best step, which its evaluations in training chose: partly by luck" in said(
        swept, at_best=True
    )


def test_one_run_of_each_is_not_tested(tmp_path: Path) -> None:
    for lr in (1.0, 2.0):
        write_run(tmp_path / str(lr), config={"lr": lr}, scores={4000: {"fid_cnn": lr}})
    found = compared(tmp_path)
    assert [found.difference(row) for row in found.rows] == ["best", "not tested (1 run)"]
    assert "one run of each: how much the seed changes is unknown; train several: seed=range(0,5)" in found.notes
    lines = said(tmp_path).splitlines()
    assert lines[1] == "not tested: lr=2; a test needs two seeds of each, and a spread" and "Welch" not in lines[2]


def test_runs_without_evaluations(tmp_path: Path) -> None:
    for lr in (1.0, 2.0):
        write_run(tmp_path / str(lr), config={"lr": lr})
    found = compared(tmp_path)
    assert (found.by, found.protocol, found.tags) == (None, None, ("seconds",)) and labels(found) == ["lr=1", "lr=2"]
    assert "no run was evaluated, so nothing is ranked: gan-exp evaluate" in said(tmp_path)
    assert compared(tmp_path, by="loss/generator").rows[0].values["loss/generator"].n == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fidd", "fidd: no run has such a metric; did you mean fid?"),
        ("kid", "kid: no run has such a metric; known are fid_cnn, recall_cnn"),
        ("loss/gen", "did you mean loss/generator?"),
    ],
)
def test_unknown_metrics(name: str, sentence: str, swept: Path, tmp_path: Path) -> None:
    for options in ({"by": name}, {"metrics": [name]}):
        with pytest.raises(UserError, match=re.escape(sentence)):
            compared(swept, **options)


def test_a_score_that_was_never_measured(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    with pytest.raises(UserError, match="fid_cnn: none of the runs has been evaluated; do so with gan-exp evaluate"):
        compared(tmp_path, by="fid_cnn")


def test_markdown(swept: Path) -> None:
    lines = markdown(compared(swept)).splitlines()
    assert lines[0] == "| lr | runs | fid_cnn ↓ | seconds ↓ | against best |"
    assert lines[1] == "| --- | ---: | ---: | ---: | --- |"
    assert lines[2] == "| 0.001 | 3 | 2.967 ± 0.15 | 12.5 ± 0 | best |"
    assert "- worse by more than the spread: lr=0.0002" in lines and "+-" not in "".join(lines)


def test_latex(swept: Path) -> None:
    write_run(swept / "x", config={"lr": 1e-3, "steps": 300, "seed": 9, "loss._target_": "mine.50%_&"}, state="failed")
    lines = latex(compared(swept)).splitlines()
    begin = lines.index(r"\begin{tabular}{llrrrl}")
    assert all(line.startswith("% ") for line in lines[:begin])
    assert lines[begin + 2] == r"loss & lr & runs & fid\_cnn $\downarrow$ & seconds $\downarrow$ & against best \\"
    assert lines[begin + 4] == r"non\_saturating & 0.001 & 3 & 2.967 $\pm$ 0.15 & 12.5 $\pm$ 0 & best \\"
    assert any(line.startswith(r"50\%\_\& & 0.001 & 0 of 1 &  &  & no value \\") for line in lines)
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_csv(swept: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(compared(swept)))))
    assert [row["lr"] for row in rows] == ["0.001", "0.0005", "0.0002"]
    assert float(rows[0]["fid_cnn"]) == pytest.approx(2.96667, abs=1e-4) and rows[0]["fid_cnn n"] == "3"
    assert rows[0]["p"] == "" and float(rows[2]["p"]) < 0.05 and "recall_cnn sd" in rows[0]


def test_json(swept: Path) -> None:
    write_run(swept / "x", config={"lr": 9.0, "steps": 300}, state="failed", reason="diverged")
    found = json.loads(json_text(plain(compared(swept))))
    assert found["by"] == "fid_cnn" and found["test"].startswith("Welch's t-test")
    assert [group["settings"] for group in found["groups"]] == [{"lr": lr} for lr in (1e-3, 5e-4, 2e-4, 9.0)]
    assert found["groups"][0]["metrics"]["fid_cnn"]["values"] == [3.0, 2.8, 3.1]
    assert [group["worse"] for group in found["groups"]] == [None, False, True, None]
    assert found["failed"] == [{"run": str(swept / "x"), "state": "failed", "step": 300, "reason": "diverged"}]
    assert found["protocol"]["samples"] == 5000


def test_many_runs_that_do_not_count_are_counted(tmp_path: Path) -> None:
    for number in range(12):
        write_run(tmp_path / str(number), config={"lr": float(number + 1)}, state="failed", reason="diverged")
    lines = said(tmp_path).splitlines()
    assert [line.partition(": ")[0] for line in lines].count("failed") == 9
    assert lines[-1] == "failed: 4 more (all with --json)"
    assert all(first <= second for first, second in pairwise(int(line.split(": ")[1]) for line in lines[1:-1]))
