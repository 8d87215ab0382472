"""Comparing from Python gives what `gan-exp compare` prints."""

import json
from pathlib import Path

import pytest

import gan_exp
from gan_exp.cli import main
from made_up_runs import write_sweep


@pytest.fixture
def sweep(in_tmp: Path) -> Path:
    return write_sweep(Path("sweep"), models=("mlp",), seeds=3)


def test_it_is_the_comparison_of_the_command(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gan_exp.compare(sweep)
    assert main(["compare", "sweep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.plain()))
    assert main(["compare", "sweep", "--markdown"]) == 0
    assert capsys.readouterr().out == f"{found!r}\n" == f"{found._repr_markdown_()}\n"
    best = found.rows[0]
    assert best.group.settings == {"lr": 1e-4} and best.values["fid_cnn"].n == 3


def test_of_single_runs_with_other_metrics(sweep: Path) -> None:
    runs = [gan_exp.load(path) for path in sorted(sweep.glob("*seed=0"))]
    found = gan_exp.compare(runs, by="loss/generator", metrics=["coverage_cnn"], scores="training")
    assert len(found.rows) == 2 and found.tags == ("loss/generator", "coverage_cnn")


def test_bad_input(sweep: Path) -> None:
    Path("empty").mkdir()
    for arguments, sentence in (
        ({"runs": "empty"}, "empty: there are no runs in this folder"),
        ({"runs": sweep, "by": "nope"}, "nope: "),
        ({"runs": sweep, "metrics": "fid"}, "metrics='fid': must be a list of strings"),
        ({"runs": sweep, "checkpoint": "first"}, "checkpoint='first': must be 'last' or 'best'"),
        ({"runs": sweep, "scores": "mine"}, "scores='mine': must be None, 'training' or 'evaluate'"),
    ):
        with pytest.raises(gan_exp.UserError) as refused:
            gan_exp.compare(**arguments)  # type: ignore[arg-type]
        assert str(refused.value).startswith(sentence), sentence
