import json
from pathlib import Path

import pytest

from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.search.objective import Evaluations, main_metric, parse_objectives, training_seconds, value_of


def write(run: RunDir, *lines: dict[str, object], mode: str = "a") -> None:
    with run.metrics.open(mode) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "directions"),
    [
        ("fid", ["minimize"]),
        ("recall", ["maximize"]),
        ("fid,seconds", ["minimize", "minimize"]),
        ("coverage, seconds", ["maximize", "minimize"]),
    ],
)
def test_a_metric_knows_its_direction(text: str, directions: list[str]) -> None:
    assert [objective.direction for objective in parse_objectives(text)] == directions


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fidd", "--metric fidd: no such score; did you mean fid?"),
        ("logit_train", "--metric logit_train: must be"),
        ("seconds", "the fastest training is none"),
        ("fid,fid", "different ones"),
        ("", "must name one metric"),
        ("os.sep", "--metric os.sep: only gan_exp.metrics may be named there"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_objectives(text)


def test_the_metric_that_selects_the_best_checkpoint() -> None:
    assert main_metric(parse_objectives("seconds,recall,fid")).metric == "recall"


def test_evaluations_are_read_as_the_file_grows(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    found = Evaluations(run)
    assert found.by_step() == {}
    write(run, {"step": 5, "loss/generator": 1.0}, {"step": 10, "evaluation/fid_cnn": 3.0})
    assert list(found.by_step()) == [10]
    with run.metrics.open("a") as file:
        file.write('{"step": 20, "evaluation/fid_')
        file.flush()
        assert list(found.by_step()) == [10]
        file.write('cnn": 2.0}\n')
    assert {step: line["evaluation/fid_cnn"] for step, line in found.by_step().items()} == {10: 3.0, 20: 2.0}


def test_a_resumed_run_writes_its_evaluations_anew(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    found = Evaluations(run)
    write(run, {"step": 10, "evaluation/fid_cnn": 3.0}, {"step": 20, "evaluation/fid_cnn": 2.0})
    assert list(found.by_step()) == [10, 20]
    spare = RunDir(tmp_path / "spare")
    spare.path.mkdir()
    write(spare, {"step": 10, "evaluation/fid_cnn": 3.0}, mode="w")
    spare.metrics.replace(run.metrics)
    assert list(found.by_step()) == [10]


@pytest.mark.parametrize("features", ["cnn", "ssl", "pixels", "points"])
def test_scores_are_found_in_whichever_features(features: str) -> None:
    fid, panel, kid = parse_objectives("fid,panel,kid")
    line = {
        f"evaluation/fid_{features}": 1.0,
        "evaluation/panel": 2.0,
        "evaluation/panel_cnn": 3.0,
        f"evaluation/kid_subset_sd_{features}": 4.0,
        f"best/fid_{features}": 0.5,
    }
    assert (value_of(fid, line), value_of(panel, line), value_of(kid, line)) == (1.0, 2.0, None)


def test_seconds_of_all_processes_that_trained_the_run(tmp_path: Path) -> None:
    """status.json has those of the last process."""
    run = RunDir(tmp_path)
    write(
        run,
        {"step": 1, "progress/kimg": 1.0, "progress/images_per_sec": 100.0},
        {"step": 1, "evaluation/fid_cnn": 3.0},
        {"step": 2, "progress/kimg": 3.0, "progress/images_per_sec": 200.0},
    )
    assert training_seconds(run) == pytest.approx(10.0 + 10.0)
