"""`gan-exp compare`: what it prints in a pipe and in a narrow terminal, its formats, and refusals."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from builders import refused
from gan_exp.cli import main
from gan_exp.comparison.comparison import compare
from gan_exp.comparison.records import read_runs
from gan_exp.display.comparison_table import comparison_table
from written_runs import write_run


@pytest.fixture
def swept(in_tmp: Path) -> Path:
    for number, (lr, seed, fid) in enumerate(((1e-3, 0, 3.0), (1e-3, 1, 2.5), (2e-4, 0, 7.0), (2e-4, 1, 7.5))):
        scores = {300: {"fid_cnn": fid, "panel": 2 * fid, "recognised": 0.01234 * fid, "coverage_cnn": 1 / fid}}
        write_run(f"swept/{number}", config={"lr": lr, "seed": seed, "steps": 300}, scores=scores)
    Path("swept/multirun.yaml").write_text("")
    return Path("swept")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out.splitlines()


def test_the_table_and_the_answer(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "swept", "--metrics", "seconds")
    assert lines[:5] == [
        "settings   runs     fid_cnn ↓  against best     seconds ↓",
        "lr=0.001      2  2.75 +- 0.35  best             12.5 +- 0",
        "lr=0.0002     2  7.25 +- 0.35  worse, p=0.0061  12.5 +- 0",
        "",
        "best by fid_cnn (lower is better): lr=0.001, 2.75 +- 0.35 over 2 seeds",
    ]


def test_it_is_legible_in_80_columns(swept: Path) -> None:
    file = io.StringIO()
    Console(width=80, file=file).print(comparison_table(compare(read_runs([swept]))), crop=False)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and len([line for line in lines if line.startswith("settings")]) == 2
    assert all(line.startswith(("settings", "lr=")) for line in lines if line)


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("--markdown", "| lr | runs |"), ("--latex", "% best by fid_cnn"), ("--csv", "lr,runs,counting,failed,fid_cnn,")],
)
def test_formats(form: str, beginning: str, swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "swept", form)[0].startswith(beginning)


def test_json(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads("\n".join(printed(capsys, "swept", "--json", "--by", "recognised")))
    assert (found["by"], found["better"]) == ("recognised", "higher")
    assert found["groups"][0]["settings"] == {"lr": 2e-4}


def test_runs_by_themselves(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "swept/0", "swept/2")
    assert "one run of each: how much the seed changes is unknown; train several: seed=range(0,5)" in lines


def test_refusals(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "fdi: no run has such a metric; did you mean" in refused(["compare", "swept", "--by", "fdi"], capsys)
    assert "nowhere: is not the directory" in refused(["compare", "nowhere"], capsys)
    assert "which run?" in refused(["compare"], capsys)
    assert "--scores mine: must be training or evaluate" in refused(["compare", "swept", "--scores", "mine"], capsys)
    Path("empty").mkdir()
    assert "empty: there are no runs in this folder" in refused(["compare", "swept", "empty"], capsys)
