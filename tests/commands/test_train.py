import argparse
import json
import os
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from PIL import Image

from builders import refused
from gan_exp.cli import main
from gan_exp.commands import launch
from gan_exp.config.catalog import groups
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.runs.run_dir import RunDir
from image_folders import draw

MODEL = """
from torch import nn

class Generator(nn.Module):
    def __init__(self, latent_dim, image_shape, scale: float = 1.0):
        super().__init__()
        self.image_shape = image_shape
        self.dense = nn.Linear(latent_dim, image_shape[0] * image_shape[1] * image_shape[2])

    def forward(self, latents):
        return self.dense(latents).tanh().view(-1, *self.image_shape)
"""


@pytest.fixture
def small(tiny: list[str]) -> list[str]:
    """`tiny` where the configuration is looked at, without its words about the generator."""
    return [word for word in tiny if not word.startswith("model.generator")]


def runs_below(folder: str) -> list[Path]:
    return sorted(path.parent for path in Path(folder).rglob("config.yaml") if "latest" not in path.parts)


def state_of(run: Path | str) -> object:
    return json.loads((Path(run) / "status.json").read_text())["state"]


def test_a_run_and_where_it_goes(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *tiny, "lr=3e-4"]) == 0
    (run,) = runs_below("outputs")
    assert re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-mlp-digits", str(run))
    assert Path("outputs/latest").resolve() == run.resolve()
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "environment.json", "status.json", "metrics.jsonl", "tensorboard", "log.txt"} <= names
    assert not {".hydra", "hydra.yaml", "train.log"} & names
    assert yaml.safe_load((run / "config.yaml").read_text())["lr"] == 3e-4
    assert state_of(run) == "finished"
    printed = capsys.readouterr().out
    assert "gan-exp sample latest" in printed
    assert str(run) in printed


@pytest.mark.slow
def test_two_runs_in_the_same_second(in_tmp: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Noon(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Noon":
            return cls(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr("hydra.core.utils.datetime", Noon)
    for _ in range(3):
        assert main(["train", *tiny]) == 0
    folder = Path("outputs/2026-01-02")
    assert sorted(path.name for path in folder.iterdir()) == [
        "12-00-00-mlp-digits",
        "12-00-00-mlp-digits-2",
        "12-00-00-mlp-digits-3",
    ]
    assert Path("outputs/latest").resolve().name == "12-00-00-mlp-digits-3"


def test_a_place_of_ones_own(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *tiny, "hydra.run.dir=mine/run"]) == 0
    assert state_of("mine/run") == "finished"
    assert [path.name for path in Path("outputs").iterdir()] == ["latest"]
    assert RunDir.open("latest").path == Path("mine/run").resolve()

    before = Path("mine/run/metrics.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["train", *tiny, "hydra.run.dir=mine/run"]) == 2
    captured = capsys.readouterr().err
    assert "holds a run already" in captured
    assert "gan-exp resume" in captured
    assert Path("mine/run/metrics.jsonl").read_bytes() == before


@pytest.mark.slow
def test_paths_with_all_that_paths_have(
    in_tmp: Path, tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(in_tmp))
    monkeypatch.setenv("GAN_EXP_CACHE", str(in_tmp / "packed"))
    images, place = "Bücher (2024), a=b [1]", "it's Ü/x, {y}"
    Path(images).mkdir()
    for name, gray in (("a", 0), ("b", 200)):
        Image.new("L", (8, 8), gray).save(f"{images}/{name}.png")
    data = ["dataset=folder", f"dataset.root=~/{images}", "dataset.size=8"]
    assert main(["train", *tiny, *data, f"hydra.run.dir=~/{place}", "name=Übung (2), a=b"]) == 0
    config = RunDir(place).read_config()
    assert (config["dataset"]["root"], config["name"]) == (f"~/{images}", "Übung (2), a=b")
    capsys.readouterr()
    assert main(["resume", place]) == 0
    assert f"gan-exp resume {shlex.quote(place)} steps=6" in capsys.readouterr().out
    assert main(["sample", f"~/{place}", "--count", "1", "--output=~/ü.png"]) == 0
    assert main(["train", "--again", place, "hydra.run.dir=~/b c", f"dataset.root={in_tmp}/{images}", "steps=1"]) == 0
    assert Path("ü.png").exists() and Path("b c/config.yaml").exists()

    assert (
        main(["train", *tiny, *data[:2], "dataset.size=8", "hydra.sweep.dir=~/d, e", "-m", "name=x,y", "steps=1"]) == 2
    )
    data[1] = f"dataset.root='~/{images}'"  # a comma outside of brackets parts values in a sweep
    assert main(["train", *tiny, *data, "hydra.sweep.dir=~/d, f", "-m", "name=x,y", "steps=1"]) == 0
    assert {RunDir(run).read_config()["name"] for run in runs_below("d, f")} == {"x", "y"}


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_options_stand_anywhere(where: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {
        "before": ["--cfg", "job", "lr=3e-4", "steps=7"],
        "between": ["lr=3e-4", "--cfg", "job", "steps=7"],
        "after": ["lr=3e-4", "steps=7", "--cfg=job"],
    }
    assert main(["train", *words[where]]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (float(printed["lr"]), printed["steps"]) == (3e-4, 7)
    assert list(in_tmp.iterdir()) == []


def test_help_names_what_there_is(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/model").mkdir(parents=True)
    Path("mine/model/tiny.yaml").write_text("# the smallest there is\nname: tiny\n")
    assert main(["train", "--help", "--config-dir", "mine"]) == 0
    printed = capsys.readouterr().out
    for word in (
        "*digits",
        " dcgan_mnist",
        "*non_saturating",
        "tiny            the smallest there is",
        "n_critic",
        "-m, ",
    ):
        assert word in printed
    assert "Hydra" not in printed.replace("Hydra's own information and help", "")


@pytest.mark.parametrize("words", [["--hydra-help"], ["--info", "lr=1"], ["--info=defaults"]])
def test_hydras_own_words(words: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(["train", *words]) == 0
    except SystemExit as end:
        assert not end.code
    assert capsys.readouterr().out
    assert list(in_tmp.iterdir()) == []


@pytest.mark.slow
def test_sweep(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *tiny, "-m", "lr=1e-4,2e-4"]) == 0
    first, second = runs_below("outputs")
    assert first.parent == second.parent
    assert re.fullmatch(r"\d\d-\d\d-\d\d-sweep", first.parent.name)
    assert [RunDir(run).read_config()["lr"] for run in (first, second)] == [1e-4, 2e-4]
    assert [state_of(run) for run in (first, second)] == ["finished", "finished"]
    assert "sweep: 2 of 2 runs finished" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "code", "fault"), [("-1", 2, "lr=-1: must be greater than 0"), ("1e30", 1, "diverged")])
def test_a_failing_run_does_not_stop_the_sweep(
    lr: str, code: int, fault: str, in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *tiny, "optimizer=sgd", "steps=8", "-m", f"lr={lr},1e-3"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("gan-exp: run 0 (")
    assert fault in captured.err
    assert captured.err.count("\n") == 1
    assert "sweep: 1 of 2 runs finished" in captured.out
    finished = [run for run in runs_below("outputs") if state_of(run) == "finished"]
    assert [RunDir(run).read_config()["lr"] for run in finished] == [1e-3]


def test_yaml_of_ones_own(in_tmp: Path, tiny: list[str]) -> None:
    folder = Path("mine/schedule")
    folder.mkdir(parents=True)
    (folder / "steep.yaml").write_text("lr:\n  _target_: gan_exp.schedules.Linear\n  start: 0.0\n  final: 0.25\n")
    assert main(["train", *tiny, "--config-dir", "mine", "schedule=steep", "hydra.run.dir=run"]) == 0
    assert RunDir("run").read_config()["schedule"]["lr"]["final"] == 0.25


def test_unknown_keys_of_ones_own_yaml(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("mine/schedule")
    folder.mkdir(parents=True)
    (folder / "steep.yaml").write_text("lr:\n  _target_: gan_exp.schedules.Linear\n  strat: 0.0\n")
    assert main(["train", "--config-dir", "mine", "schedule=steep"]) == 2
    assert "schedule.lr.strat: unknown key; did you mean schedule.lr.start?" in capsys.readouterr().err
    assert main(["train", "--config-dir", "mine", "schedule=stepe"]) == 2
    assert "schedule=stepe: no such option; did you mean steep?" in capsys.readouterr().err


def test_an_experiment_that_forgot_its_package(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine/experiment").mkdir(parents=True)
    Path("mine/experiment/fast.yaml").write_text("lr: 0.1\n")
    assert main(["train", "--config-dir", "mine", "experiment=fast", "steps=1", "display=quiet"]) == 2
    assert "# @package _global_" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_of_ones_own(in_tmp: Path, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("networks_of_mine.py").write_text(MODEL)
    Path("mine/model").mkdir(parents=True)
    shipped = groups()["model"]["mlp"]
    own = yaml.safe_load(shipped.read_text())
    own["generator"] = {"_target_": "networks_of_mine.Generator", "scale": 2.0}
    Path("mine/model/own.yaml").write_text(yaml.safe_dump({**own, "name": "own"}))
    words = ["train", *small, "--config-dir", "mine", "model=own", "hydra.run.dir=run"]

    assert main(words) == 2
    assert "allow it with --trust networks_of_mine" in capsys.readouterr().err
    assert not Path("run").exists()
    assert main([*words, "--trust", "networks_of_mine", "+model.generator.scael=1"]) == 2
    assert "did you mean model.generator.scale?" in capsys.readouterr().err
    assert main([*words, "--trust", "networks_of_mine"]) == 0
    assert state_of("run") == "finished"

    # A run's directory is no leave to run code either: each command asks anew.
    os.environ.pop(TRUST_VARIABLE)
    for command in (["sample", "run"], ["resume", "run", "steps=4"]):
        assert main(command) == 2
        assert "--trust networks_of_mine" in capsys.readouterr().err
    assert main(["sample", "run", "--trust", "networks_of_mine", "--count", "4", "--output", "own.npy"]) == 0
    assert main(["resume", "run", "--trust", "networks_of_mine", "steps=4"]) == 0
    assert json.loads(Path("run/status.json").read_text())["step"] == 4


def test_again(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *tiny, "lr=3e-4", "hydra.run.dir=first"]) == 0
    assert main(["train", "--again", "first", "seed=1"]) == 0
    (second,) = runs_below("outputs")
    config = RunDir(second).read_config()
    assert config == {**RunDir("first").read_config(), "seed": 1}
    assert state_of(second) == "finished"

    capsys.readouterr()
    assert main(["train", "--again", "first", "sede=1"]) == 2
    assert "sede: unknown key; did you mean seed?" in capsys.readouterr().err
    assert main(["train", "--again", "first", "lr=0"]) == 2
    assert len(runs_below("outputs")) == 1
    assert main(["train", "--again", "first", "hydra.run.dir=third"]) == 0
    assert RunDir("third").read_config() == RunDir("first").read_config()


def test_from(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A new run with another one's weights and configuration, which other data and settings go with."""
    for number in range(3):
        draw(Path(f"images/{number}.png"), 50 * number)
    data = ["dataset=folder", "dataset.root=images", "dataset.cache=packed", "dataset.size=8"]
    assert main(["train", *tiny, *data, "hydra.run.dir=first"]) == 0
    draw(Path("images/3.png"), 200)
    capsys.readouterr()
    words = ["--from", "first", "--keep", "average,optimizers", "augment=ada", "lr=5e-4", "hydra.run.dir=second"]
    assert main(["train", *words]) == 0
    told = capsys.readouterr().out
    assert f"start: from {in_tmp}/first at step 3, with the weights of generator and discriminator\n" in told
    config = RunDir("second").read_config()
    assert (config["start_from"], config["start_keep"]) == (str(in_tmp / "first"), ["average", "optimizers"])
    assert config["dataset"] == RunDir("first").read_config()["dataset"] and config["lr"] == 5e-4
    assert config["optimizer"]["generator"]["lr"] == 5e-4 and "target" in config["augment"]
    assert main(["train", "--from", "first/checkpoints/step-00000002.pt", "hydra.run.dir=third"]) == 0
    assert RunDir("third").read_environment()["start"]["step"] == 2
    for given, sentence in (
        (["--from", "nowhere"], "nowhere: is not the directory of a run"),
        (["--keep", "average"], "--keep average: says what to take over of the run that --from names"),
        (["--from", "first", "--keep", "all"], "--keep all: must be average, optimizers or augment"),
        (["--from", "first", "-m", "lr=1,2"], "--from: is for a single run; for a sweep write all settings"),
        (["--from", "first", "model=dcgan"], "of the generator's weights fit this run's generator"),
    ):
        assert sentence in refused(["train", *given], capsys)


def test_a_job_that_is_started_again(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--continue DIR: the same words start the run, continue it, and end well when it is finished."""
    assert main(["train", *tiny[1:], "steps=2", "--continue", "it's ${lr}"]) == 0
    assert main(["train", "--continue=it's ${lr}", *tiny]) == 0
    assert "resuming" in capsys.readouterr().out
    assert main(["train", *tiny, "--continue", "it's ${lr}"]) == 0
    place = Path("it's 0.001")
    assert capsys.readouterr().out.splitlines()[-1].endswith("is finished (3 steps)")
    assert main(["train", "--again", str(place), "--continue", str(place)]) == 0
    assert runs_below(".") == [place]
    for words, sentence in (
        (["seed=1", "--continue", str(place)], "it's 0.001 was begun with seed=0, this would be another"),
        (
            ["--again", str(place), "seed=1", "--continue", str(place)],
            "it's 0.001 was begun with seed=0, this would be another",
        ),
        (["hydra.run.dir=here", "--continue", "there"], "hydra.run.dir=here: --continue there names the directory"),
        (["--continue"], "--continue: needs a value"),
    ):
        assert sentence in refused(["train", *tiny, *words] if "--again" not in words else ["train", *words], capsys)
    assert runs_below(".") == [place]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("-m seed=1,2 hydra/launcher=joblib", "hydra/launcher=joblib: gan-exp starts the runs of a sweep itself"),
        ("-m seed=1,2 +hydra/launcher=submitit_slurm", "+hydra/launcher=submitit_slurm: gan-exp starts the runs"),
        ("-m seed=1,2 hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs=2: gan-exp starts the runs of a sweep itself"),
        ("-m lr=interval(0,1) hydra/sweeper=optuna", "hydra/sweeper=optuna: gan-exp combines the values of a sweep"),
        ("-m hydra.sweeper.max_batch_size=2", "use `gan-exp search`"),
        ("-m seed=range(0,0)", "seed=range(0,0): is empty"),
        ("-m seed=1,2 --jobs 0", "--jobs 0: must be a whole number of at least 1"),
        ("--jobs 2", "--jobs 2: is for the runs of a sweep, which -m makes"),
        ("--jobs", "--jobs: needs a value"),
        ("-m --zip lr,seed lr=1,2 seed=1,2,3", "--zip lr,seed: lr has 2, seed has 3 values"),
        ("-m seed=1,2 on_failure=never", "--on-failure never: must be continue or stop"),
    ],
)
def test_sweeps_that_are_refused(words: str, sentence: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in refused(["train", *words.split()], capsys)
    assert list(in_tmp.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_that_is_started_again(in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", *tiny, "seed=1,2", "--continue", "swept"]) == 0
    assert main(["train", "-m", *tiny, "seed=1,2", "--continue", "swept"]) == 0
    assert capsys.readouterr().out.count("is finished (3 steps)") == 2
    assert [path.name for path in runs_below("swept")] == ["0-seed=1", "1-seed=2"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(in_tmp: Path, tiny: list[str]) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert main(["train", *tiny, f"seed={seed}", f"hydra.run.dir={folder}"]) == 0
    grids = [Path(f"{folder}/samples/step-00000003.png").read_bytes() for folder in "abc"]
    assert grids[0] == grids[1] != grids[2]


@pytest.fixture
def python_3_14(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """argparse as in Python 3.14, which looks into each help text when an argument is added."""

    def check_help(self: argparse.ArgumentParser, action: argparse.Action) -> None:
        if action.help and "%" in action.help:
            self._get_formatter()._expand_help(action)

    add_argument = argparse.ArgumentParser.add_argument

    def add_and_check(self: argparse.ArgumentParser, *words: object, **options: object) -> argparse.Action:
        action = add_argument(self, *words, **options)  # type: ignore[arg-type]
        self._check_help(action)  # type: ignore[attr-defined]
        return action

    monkeypatch.setattr(argparse.ArgumentParser, "_check_help", check_help, raising=False)
    monkeypatch.setattr(argparse.ArgumentParser, "add_argument", add_and_check)
    yield


def test_python_3_14(
    python_3_14: None, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--cfg", "job"]) == 0
    # The check still stands for what it was made for.
    with pytest.raises(ValueError, match="unsupported format character"):
        argparse.ArgumentParser().add_argument("--x", help="100 %z")
    # Without the guard it is as it would be there: this test tests something.
    monkeypatch.setattr(launch, "guard_python_3_14", lambda: None)
    monkeypatch.setattr(
        argparse.ArgumentParser, "_check_help", lambda self, action: "%" in (action.help or ""), raising=False
    )
    with pytest.raises(TypeError, match="LazyCompletionHelp"):
        main(["train", "--cfg", "job"])
