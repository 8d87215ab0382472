"""Runs by their short names: found where one matches, listed where several do."""

from pathlib import Path

import pytest

from gan_exp.cli import main
from gan_exp.errors import UserError
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import SWEEP_FILE, find, list_directories, list_runs, matches, short_name

RUNS = (
    "outputs/2026-01-01/10-10-39-mlp-digits",
    "outputs/2026-01-01/11-00-00-dcgan-mnist",
    "outputs/2026-01-02/11-00-00-dcgan-mnist",
    "outputs/2026-01-02/12-00-00-sweep/0-lr=1e-4",
    "outputs/2026-01-02/12-00-00-sweep/1-lr=2e-4",
    "outputs/mine",
)


@pytest.fixture
def runs(in_tmp: Path) -> None:
    for path in RUNS:
        RunDir.create(path, {"steps": 1}, {})
    (in_tmp / "outputs/2026-01-02/12-00-00-sweep" / SWEEP_FILE).write_text("")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("10-10-39-mlp-digits", RUNS[0]),
        ("10-10-39", RUNS[0]),
        ("2026-01-01/11-00-00-dcgan-mnist", RUNS[1]),
        ("2026-01-02/11", RUNS[2]),
        (RUNS[2] + "/", RUNS[2]),
        ("0-lr=1e-4", RUNS[3]),
        ("12-00-00-sweep/1-lr=2e-4", RUNS[4]),
        ("12-00-00-sweep", "outputs/2026-01-02/12-00-00-sweep"),
        ("mine", RUNS[5]),
        ("latest", RUNS[5]),
    ],
)
def test_a_name_that_fits_one_run(name: str, path: str, runs: None) -> None:
    assert find(name).resolve() == Path(path).resolve()


def test_an_exact_name_goes_before_the_beginning_of_others(runs: None) -> None:
    RunDir.create("outputs/2026-01-01/10-10-39", {}, {})
    assert RunDir.open("10-10-39").path.name == "10-10-39"
    assert [path.name for path in matches("10-10-3", list_directories())] == ["10-10-39", "10-10-39-mlp-digits"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("11-00-00-dcgan-mnist", f"11-00-00-dcgan-mnist: fits 2 runs; name one of {RUNS[1]}, {RUNS[2]}"),
        ("10-10-39-mlp-digit_", "nor the name of one under outputs/ here; did you mean 10-10-39-mlp-digits?"),
        ("lastest", "lastest: is not the directory of a run, .*; did you mean latest?"),
        ("outputs/2026-01-01", r"outputs/2026-01-01: is not the directory of a run \(it holds no config.yaml\)"),
        ("", "is not the directory of a run"),
        pytest.param("x" * 5000, "is not the directory of a run", id="too-long"),
        ("12-00-00-sweep", f"12-00-00-sweep: is a sweep; name one of its runs: {RUNS[3]}, {RUNS[4]}"),
    ],
)
def test_a_name_that_fits_none_or_several(name: str, sentence: str, runs: None) -> None:
    with pytest.raises(UserError, match=sentence):
        RunDir.open(name)


def test_a_directory_goes_before_a_name(runs: None) -> None:
    RunDir.create("mine", {"steps": 2}, {})
    assert RunDir.open("mine").path == Path("mine").resolve()
    Path("10-10-39").mkdir()  # not a run: the name is searched for
    assert RunDir.open("10-10-39").path == Path(RUNS[0]).resolve()


def test_the_shortest_name_leads_back(runs: None) -> None:
    Path("mine").mkdir()
    expected = ["10-10-39-mlp-digits", "2026-01-01/11-00-00-dcgan-mnist", "2026-01-02/11-00-00-dcgan-mnist"]
    expected += ["0-lr=1e-4", "1-lr=2e-4", "outputs/mine"]
    assert [short_name(Path(path)) for path in RUNS] == expected
    assert [find(name) for name in expected] == [Path(path) for path in RUNS]
    elsewhere = RunDir.create("elsewhere/run", {}, {}).path
    assert short_name(elsewhere) == "elsewhere/run" and short_name(Path("/nowhere")) == "/nowhere"


@pytest.mark.parametrize("command", ["resume", "sample", "evaluate", "doctor", "export", "dashboard", "train --again"])
def test_every_command_looks_names_up(command: str, runs: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "11-00-00"]) == 2
    assert "11-00-00: fits 2 runs; name one of outputs/" in capsys.readouterr().err


def test_a_sweeps_runs_are_found_however_deep(in_tmp: Path) -> None:
    """Its user may have set hydra.sweep.subdir; what lies inside a run is none."""
    places = [Path("swept", *"abcdefg"[:depth], "run") for depth in (0, 1, 7)]
    for place in (*places, places[0] / "copy"):
        place.mkdir(parents=True)
        (place / "config.yaml").touch()
    Path("swept", SWEEP_FILE).touch()
    assert list_runs(Path("swept")) == sorted(places)
