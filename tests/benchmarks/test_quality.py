"""The benchmark of quality: what it calls the same run, and how seeds become a table. Its runs are the tool's own."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.quality.__main__ import main, seed_range
from benchmarks.quality.existing import find_runs, measured_together
from benchmarks.quality.experiments import COMPARISONS, EXPERIMENTS, Experiment, choose, comparison_of
from benchmarks.quality.pictures import side_by_side
from benchmarks.quality.report import details, extremes, mean_and_spread, progress, table
from benchmarks.quality.runs import RunFailed, digest, load_config, measured, settings_of
from benchmarks.tables import as_markdown, write_section

from forked import Forked, fork_command
from gan_exp.runs.run_dir import RunDir

pytestmark = pytest.mark.slow

RING = COMPARISONS[0]
TINY = Experiment("ring", "ring", ("experiment=ring", "model.generator.widths=[8]", "model.discriminator.widths=[8]",
                                   "dataset.count=500", "sample_every_steps=100", "steps=3", "evaluate_every_steps=2",
                                   "evaluate_count=100", "best_metric=modes"))  # fmt: skip


def _result(seed: int, modes: float, high_quality: float) -> dict[str, object]:
    scores = {"modes": modes, "high_quality": high_quality, "mode_kl": 0.5}
    curve = [{"step": 1000, **scores}]
    training = {"cpu_seconds": 60.0 + seed, "seconds": 31.5}
    words = ["experiment=ring", f"seed={seed}", "device=cpu", "device.threads=1", "display=quiet"]
    run = {"words": words, "steps": 2000, "batch_size": 100, "scores": scores}
    return {**run, "curve": curve, "training": training}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: one.name)
def test_each_experiment_composes_and_names_scores_of_its_comparison(experiment: Experiment) -> None:
    assert load_config([*experiment.words])["steps"] > 0
    assert comparison_of(experiment).columns


def test_mean_and_sample_standard_deviation() -> None:
    assert mean_and_spread([1.0, 2.0, 3.0], 2) == "2.00 +- 1.00"
    assert mean_and_spread([1234.5], 1) == "1,234.5"


def test_table_has_ours_and_the_published_rows() -> None:
    rows = table(RING, {"ring": [_result(0, 8, 0.97), _result(1, 7, 0.99)]})
    assert rows[1] == [
        "`experiment=ring`",
        "7.5 +- 0.7",
        "98.0 +- 1.4",
        "0.500 +- 0.000",
        "2",
        "2,000 x 100",
        "60 +- 1",
    ]
    assert ["PacGAN4", "7.8 +- 0.1", "95.9"] in [row[:3] for row in rows]
    assert {len(row) for row in rows} == {7}


def test_a_speedrun_has_its_wall_clock_time() -> None:
    rows = table(replace(RING, wall_clock=True), {"ring": [_result(0, 8, 0.97)]})
    assert rows[0][-1] == "seconds per run" and rows[1][-1] == "31.5"


def test_the_course_over_the_seeds() -> None:
    (_, row) = progress(RING, {"ring": [_result(0, 8, 0.97), _result(1, 7, 0.99)]})
    assert row == ["`experiment=ring`", "1,000", "7.5 +- 0.7", "98.0 +- 1.4", "0.500 +- 0.000", "30"]
    assert progress(RING, {"ring": [{**_result(1, 7, 0.99), "curve": []}]}) == []


def test_the_worst_seed_is_named() -> None:
    sentence = extremes(RING, {"ring": [_result(0, 8, 0.97), _result(1, 7, 0.99)]})
    assert "modes 7.0 to 8.0" in sentence and "97.0 to 99.0" in sentence


def test_another_setting_is_another_run_and_another_seed_or_place_is_not() -> None:
    ring = choose(["ring"])[0]
    words = [*ring.words, "device=cpu"]
    first = digest(load_config([*words, "seed=0"]), ring)
    assert first == digest(load_config([*words, "seed=1", "display=quiet"]), ring)
    assert first != digest(load_config([*words, "lr=7e-4"]), ring)
    assert first != digest(load_config(words), Experiment("ring", "ring", ring.words, threads=2))
    stacked = choose(["stacked_mnist"])[0]
    places = [load_config([*stacked.words, f"dataset.root={place}"]) for place in ("here", "there")]
    assert digest(places[0], stacked) == digest(places[1], stacked)


def test_names_choose_experiments_and_comparisons() -> None:
    assert {one.comparison for one in choose(["mnist"])} == {"mnist"}
    assert choose([]) == EXPERIMENTS
    with pytest.raises(ValueError, match="rings: is not an experiment; choose from ring"):
        choose(["rings"])


def test_seed_ranges() -> None:
    assert (seed_range("3"), seed_range("5-9")) == (range(3), range(5, 10))
    with pytest.raises(ValueError):
        seed_range("0")


def test_a_run_is_trained_evaluated_and_then_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork(command: list[str], *, env: dict[str, str], **_: Any) -> Forked:
        assert command[1:3] == ["-m", "gan_exp"]
        return fork_command(tmp_path, *command[3:], environ=env)

    forking = SimpleNamespace(Popen=fork, STDOUT=None)
    monkeypatch.setattr("benchmarks.quality.runs.subprocess", forking)  # the failing run has the real one
    result = measured(TINY, 1, tmp_path, None)
    assert result["seed"] == 1 and "seed=1" in result["words"]
    assert 0 <= result["scores"]["high_quality"] <= 1
    assert result["training"]["cpu_seconds"] > 0
    assert [point["step"] for point in result["curve"]] == [2, 3]
    assert result["protocol"]["samples"] == 2500
    monkeypatch.setattr("benchmarks.quality.runs.call", None)  # nothing may be started now
    assert measured(TINY, 1, tmp_path, None) == json.loads(json.dumps(result))


def test_a_failing_run_is_sentence_and_leaves_no_result(tmp_path: Path) -> None:
    wrong = Experiment("ring", "ring", (*TINY.words, "dataset.radius=1e30", "lr=1e30"))
    with pytest.raises(RunFailed, match="gan-exp train"):
        measured(wrong, 0, tmp_path, None)
    assert not list(tmp_path.glob("*.json"))


def test_a_section_is_replaced_and_what_stands_around_it_stays(tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    write_section(document, "a", "old", "benchmarks.quality", "# Results\n")
    document.write_text(document.read_text() + "\nby hand\n")
    write_section(document, "a", as_markdown([["x", "y"], ["1", "2"]]), "benchmarks.quality")
    text = document.read_text()
    assert text.startswith("# Results\n") and text.endswith("by hand\n")
    assert "| 1 | 2 |" in text and "old" not in text and text.count("begin: a") == 1


def _finished(folder: Path, *words: str, step: int = 3) -> RunDir:
    """A run that seems to have been trained with these words."""
    run = RunDir.create(folder, load_config(list(words)), {"threads": 1})
    run.write_status("finished", step)
    run.checkpoint(3).write_bytes(b"")
    lines = [{"step": k, "progress/kimg": k / 10, "progress/images_per_sec": 50.0 * k} for k in (1, 2, 3)]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return run


def test_runs_trained_elsewhere_are_found_by_their_settings(tmp_path: Path) -> None:
    """Another seed, place, name, or interval of the log is the same experiment; all that can't be used is said."""
    _finished(tmp_path / "second", *TINY.words, "seed=1", "name=mine", "log_every_steps=1", "device.threads=2")
    _finished(tmp_path / "first", *TINY.words)
    _finished(tmp_path / "third", *TINY.words, "seed=1")
    _finished(tmp_path / "ring-4", *TINY.words, "n_critic=2", "penalty.gamma=1")
    _finished(tmp_path / "ring-5", *TINY.words, "seed=5", step=2)
    said: list[str] = []
    found = find_runs(tmp_path, [TINY], said.append)
    assert [(one.run.path.name, one.config["seed"]) for one in found] == [("first", 0), ("second", 1)]
    assert [line.removeprefix("left out: ") for line in said] == [
        "ring-4 has the settings of no chosen experiment: n_critic is 2 instead of 1, "
        "penalty.gamma is 1 instead of 0.01",
        "ring-5 is not finished (2 of 3 steps)",
        "third has the settings and the seed of second",
    ]


def test_a_run_older_than_an_argument_has_its_default() -> None:
    config = load_config([*TINY.words])
    older = {**config, "model": {**config["model"], "generator": dict(config["model"]["generator"])}}
    assert older["model"]["generator"].pop("batch_norm") is False  # the recipe's; the default is true
    assert settings_of(older)["model"]["generator"]["batch_norm"] is True
    assert settings_of(older) == settings_of(load_config([*TINY.words, "model.generator.batch_norm=true"]))


def _evaluates(monkeypatch: pytest.MonkeyPatch, *fail: str) -> list[list[str]]:
    """Stands for the command: it writes a report for each run, up to the first that fails."""
    calls: list[list[str]] = []

    def call(words: list[str], log: Path, environment: dict[str, str]) -> None:
        calls.append(words)
        for run in (Path(word) for word in words[1:] if Path(word).is_absolute()):
            if run.name in fail:
                raise RunFailed(f"{run.name} failed")
            metrics = {"modes": {"mean": 8.0, "data": 8.0}, "class_kl": {"mean": None, "reason": "infinite"}}
            report = json.dumps({"metrics": metrics, "protocol": {}})
            RunDir(run).evaluation(3, "points").write_text(report, encoding="utf-8")

    monkeypatch.setattr("benchmarks.quality.existing.call", call)
    return calls


def test_runs_trained_elsewhere_are_evaluated_together_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    names = [_finished(runs / f"ring-{seed}", *TINY.words, f"seed={seed}").path.name for seed in range(3)]
    calls, said = _evaluates(monkeypatch, "ring-2"), list[str]()
    found = find_runs(runs, [TINY], said.append)
    results = measured_together(found, out, said.append)["ring"]
    assert [Path(word).name for word in calls[0][1:4]] == names and "--metrics" in calls[0]
    assert [result["seed"] for result in results] == [0, 1] and "left out: ring-2 failed" in said
    assert results[0]["scores"] == {"modes": 8.0, "class_kl": None} and results[0]["data"] == {"modes": 8.0}
    assert results[0]["training"] == {
        "steps_seconds": 2.0,
        "threads": 1,
    }  # 300 images at the highest speed, 150 a second
    measured_together(found[:2], out, said.append)
    assert len(calls) == 1
    later = time.time() + 10
    os.utime(found[0].run.checkpoint(3), (later, later))  # trained again
    measured_together(found[:2], out, said.append)
    assert [Path(word).name for word in calls[1][1:2]] == ["ring-0"]


def test_a_score_that_is_not_finite_is_a_cell_and_no_error() -> None:
    runs = [{**_result(seed, 8, 0.97), "scores": {"modes": 8, "high_quality": None}} for seed in range(2)]
    runs[1]["scores"] = {"modes": 7, "high_quality": 0.9}
    rows = table(RING, {"ring": runs})
    assert rows[1][1:4] == ["7.5 +- 0.7", "not finite in 1 of 2, else 90.0", ""]
    assert "90.0 to 90.0" in extremes(RING, {"ring": runs})
    assert table(RING, {"ring": runs[:1]})[1][2] == "not finite"


def test_the_datas_own_scores_have_a_row_and_early_layers_a_second_table() -> None:
    mnist = next(one for one in COMPARISONS if one.name == "mnist")
    scores = {column.score: 0.5 for column in (*mnist.columns, *mnist.details)}
    run = {**_result(0, 8, 0.97), "scores": scores, "data": dict.fromkeys(scores, 0.25)}
    first, second = table(mnist, {"ring": [run]}), details(mnist, {"ring": [run]})
    assert [row[0] for row in first] == ["recipe", "`experiment=ring`", "real data"]
    assert first[2][1:4] == ["0.2", "25.0", "0.250"] and second[2][1] == "250.0"
    assert {len(row) for row in second} == {len(mnist.details) + 1}


def test_the_cost_of_a_run_from_elsewhere_is_that_of_its_steps() -> None:
    runs = [{**_result(0, 8, 0.97), "training": {"steps_seconds": 41.7, "threads": 2}}]
    assert table(RING, {"ring": runs})[1][-1] == "42 (steps alone, 2 threads)"


def test_pictures_of_equal_cost(tmp_path: Path) -> None:
    """The quick recipe ends after 30 s, half the time of the other, of which the last grid until then is shown."""
    results = {}
    for name, seconds in (("slow", 60.0), ("quick", 30.0)):
        run = _finished(tmp_path / name, *TINY.words)
        for step in (0, 40, 60, 100):
            run.sample_grid(step).write_text(f"{name} {step}", encoding="utf-8")
        results[name] = [{**_result(0, 8, 0.97), "run": str(run.path), "training": {"cpu_seconds": seconds}}]
    head, early, last = side_by_side(results, tmp_path / "docs/images", tmp_path / "docs")
    assert head[0] == "" and early[0] == "after 30 s"
    assert early[1] == "![slow, 40 steps](images/quality-slow-early.png)"
    assert last[1:] == [
        "![slow, 100 steps](images/quality-slow.png) 60 s",
        "![quick, 100 steps](images/quality-quick.png) 30 s",
    ]
    assert (tmp_path / "docs/images/quality-quick-early.png").read_text() == "quick 100"
    assert side_by_side({"slow": results["slow"]}, tmp_path, tmp_path) == []


def test_an_experiment_without_its_files_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["quality", "fashion_cdcgan", "--data", str(tmp_path), "--out", str(tmp_path)])
    assert main() == 0
    expected = "fashion_cdcgan needs the files of Fashion-MNIST; --data names the folder that holds FashionMNIST/raw"
    assert f"left out: {expected}\n" in capsys.readouterr().out
