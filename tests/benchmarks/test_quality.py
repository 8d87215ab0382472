"""The benchmark of quality: what it calls the same run, and how seeds become a table. Its runs are the tool's own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.quality.__main__ import seed_range
from benchmarks.quality.experiments import COMPARISONS, EXPERIMENTS, Experiment, choose, comparison_of
from benchmarks.quality.report import extremes, mean_and_spread, progress, table
from benchmarks.quality.runs import RunFailed, digest, load_config, measured
from benchmarks.tables import as_markdown, write_section

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
    result = measured(TINY, 1, tmp_path, None)
    assert result["seed"] == 1 and "seed=1" in result["words"]
    assert 0 <= result["scores"]["high_quality"] <= 1
    assert result["training"]["cpu_seconds"] > 0
    assert [point["step"] for point in result["curve"]] == [2, 3]
    assert result["protocol"]["samples"] == 2500
    monkeypatch.setattr("benchmarks.quality.runs._call", None)  # nothing may be started now
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
