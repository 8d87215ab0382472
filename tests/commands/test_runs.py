"""`gan-exp runs`: the table at several widths, filters, sorting, formats, and refusals."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from builders import refused
from gan_exp.cli import main
from gan_exp.runs.submissions import Submission, write_submissions
from written_runs import write_run


@pytest.fixture
def folder(in_tmp: Path) -> Path:
    sweep = in_tmp / "outputs" / "2026-11-26" / "10-00-00-sweep"
    for number, (lr, seed, fid) in enumerate(((1e-3, 0, 3.0), (1e-3, 1, 2.5), (2e-4, 0, 7.0))):
        config = {"lr": lr, "seed": seed, "steps": 300}
        write_run(sweep / f"{number}-lr={lr},seed={seed}", config=config, scores={300: {"fid_cnn": fid}})
    (sweep / "multirun.yaml").write_text("")
    write_run(
        in_tmp / "outputs" / "2026-11-26" / "11-00-00-dcgan",
        "model=dcgan",
        "steps=300",
        state="failed",
        reason="step 7: loss/generator is nan: training has diverged",
    )
    return in_tmp


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert main(["runs", *words]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out.splitlines()


def test_runs_and_sweeps_under_outputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == [
        "run                   state        step  fid_cnn ↓  doctor   not default",
        "outputs/2026-11-26/10-00-00-sweep  (sweep; 3 runs: 3 finished)",
        "  0-lr=0.001,seed=0   finished  300/300          3  healthy",
        "  1-lr=0.001,seed=1   finished  300/300        2.5  healthy  seed=1",
        "  2-lr=0.0002,seed=0  finished  300/300          7  healthy  lr=0.0002",
        "11-00-00-dcgan        failed    300/300             healthy  model=dcgan",
        "",
        "4 runs: 3 finished, 1 failed",
        "all of them: steps=300",
        "failed: 11-00-00-dcgan: step 7: loss/generator is nan: training has diverged",
    ]


def test_jobs_that_wait_on_a_cluster(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They stand in their sweep before they have begun."""
    sweep = Path("outputs/2026-11-26/10-00-00-sweep")
    write_submissions(sweep, [Submission("7", 1, "", f"{sweep}/1-x", 0.0, config={"steps": 300, "lr": 1e-3})])
    lines = listed(capsys)
    assert lines[1] == f"{sweep}  (sweep; 4 runs: 3 finished, 1 waiting)"
    assert [line.split()[:3] for line in lines[2:6]][2] == ["1-x", "waiting", "0/300"]
    assert listed(capsys, "state=waiting")[2].split()[0] == "1-x"


def test_filtered_and_sorted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, "fid_cnn<5", "model=mlp", "--sort", "fid", "--metrics", "fid,seconds")
    assert [line.split()[0] for line in lines[1:3]] == [
        "10-00-00-sweep/1-lr=0.001,seed=1",
        "10-00-00-sweep/0-lr=0.001,seed=0",
    ]
    assert lines[0].split()[3:7] == ["fid_cnn", "↓", "seconds", "↓"] and lines[4] == "2 runs: 2 finished"
    assert listed(capsys, "--sort", "fid", "--reverse")[1].split()[0] == "10-00-00-sweep/2-lr=0.0002,seed=0"
    assert listed(capsys, "fid_cnn<1") == ["none of 4 runs passes fid_cnn<1"]


def test_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, a sweep by its short name, a run whose name looks like a filter."""
    assert len([line for line in listed(capsys, "outputs/2026-11-26") if "300/300" in line]) == 4
    assert "3 runs: 3 finished" in listed(capsys, "10-00-00-sweep")
    run = "outputs/2026-11-26/10-00-00-sweep/0-lr=0.001,seed=0"
    assert "1 run: 1 finished" in listed(capsys, run)
    assert "4 runs: 3 finished, 1 failed" in listed(capsys, run, "outputs")
    Path("outputs/latest").symlink_to("2026-11-26/11-00-00-dcgan")
    assert listed(capsys, "latest")[1].startswith("11-00-00-dcgan  failed")


def test_json_and_csv(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads("\n".join(listed(capsys, "--json", "state=finished", "--sort", "fid")))
    assert [one["metrics"]["fid_cnn"] for one in found] == [2.5, 3.0, 7.0] and found[0]["settings"]["seed"] == 1
    rows = list(csv.DictReader(io.StringIO("\n".join(listed(capsys, "--csv")))))
    assert [row["fid_cnn"] for row in rows] == ["3.0", "2.5", "7.0", ""] and rows[3]["model"] == "dcgan"


def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert "fid_cnm: none of the runs has such a setting or metric; did you mean fid_cnn?" in refused(
        ["runs", "fid_cnm<5"], capsys
    )
    assert "lr<fast: < needs a number behind it" in refused(["runs", "lr<fast"], capsys)
    assert "empty: there are no runs in this folder" in refused(["runs", "empty"], capsys)
    assert "nowhere: is not the directory of a run" in refused(["runs", "nowhere"], capsys)
    assert "fdi: no run has such a metric; did you mean" in refused(["runs", "--metrics", "fdi"], capsys)
    assert "seeed: none of the runs has" in refused(["runs", "--sort", "seeed"], capsys)
    assert "--csv not allowed with argument --json" in refused(["runs", "--json", "--csv"], capsys)


def test_without_a_run(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "outputs: no such folder here; train a run with `gan-exp train`" in refused(["runs"], capsys)


def test_both_commands_are_quick(folder: Path) -> None:
    """Without torch, which takes seconds to import."""
    program = (
        "import sys; from gan_exp.cli import main; main(['runs', 'fid<5']); main(['compare', 'outputs']); "
        "print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "2 runs: 2 finished" in output and "best by fid_cnn" in output and output.endswith("False\n")
