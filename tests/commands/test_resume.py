import shutil
from pathlib import Path

import pytest
import yaml

from builders import logged_lines, read_lines, refused
from gan_exp.cli import main
from gan_exp.runs.run_dir import RunDir
from image_folders import draw

STEPS = 4  # of `run`


def logged_steps(run: Path) -> list[int]:
    return [line["step"] for line in logged_lines(run / "metrics.jsonl")]


def test_more_steps(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "run", f"steps={STEPS + 3}", "display=plain"]) == 0
    status = RunDir(run).read_status()
    assert (status["state"], status["step"]) == ("finished", STEPS + 3)
    assert logged_steps(run) == list(range(1, STEPS + 4))
    assert f"at step {STEPS}" in capsys.readouterr().out
    saved = RunDir(run).read_config()
    assert (saved["steps"], saved["display"]) == (STEPS + 3, "plain")


def test_a_run_is_not_nailed_to_its_folder(
    in_tmp: Path, tiny: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative root leads to the same folder from elsewhere; a folder that has moved is found if it is the same."""
    for number in range(3):
        draw(Path(f"images/{number}.png"), 50 * number)
    data = ["dataset=folder", "dataset.root=images", "dataset.cache=packed", "dataset.size=8"]
    assert main(["train", *tiny, *data, "hydra.run.dir=run"]) == 0
    saved = RunDir("run").read_config()["dataset"]
    assert (saved["root"], saved["cache"]) == (str(in_tmp / "images"), str(in_tmp / "packed"))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main(["resume", "../run", "steps=4"]) == 0

    (in_tmp / "images").rename("moved")
    assert f"dataset.root={in_tmp}/images: no such folder" in refused(["resume", "../run", "steps=5"], capsys)
    assert main(["resume", "../run", "dataset.root=moved", "dataset.cache=../other"]) == 0  # it has finished
    assert RunDir("../run").read_config()["dataset"]["root"] == str(in_tmp / "elsewhere/moved")
    assert main(["resume", "../run", "steps=5", "dataset.skip_broken=true"]) == 0
    draw(Path("moved/3.png"), 200)
    assert "the data has changed since the run began" in refused(["resume", "../run", "steps=6"], capsys)
    assert RunDir("../run").read_status()["step"] == 5


def test_options_stand_anywhere(run: Path) -> None:
    assert main(["resume", "run", "--trust", "mine", f"steps={STEPS + 1}"]) == 0
    assert RunDir(run).read_status()["step"] == STEPS + 1


def test_latest(run: Path) -> None:
    RunDir(run).link_latest()
    assert main(["resume", "latest", f"steps={STEPS + 1}"]) == 0
    assert RunDir(run).read_status()["step"] == STEPS + 1


def test_an_interrupted_run_goes_on_from_its_checkpoint(run: Path) -> None:
    """As after a crash at step 3: the newest checkpoint is of step 2, and what was logged later is done again."""
    whole = read_lines(run / "metrics.jsonl")
    RunDir(run).checkpoint(STEPS).unlink()
    RunDir(run).write_status("running", 3)
    assert main(["resume", "run"]) == 0
    assert RunDir(run).read_status()["state"] == "finished"
    assert logged_steps(run) == [1, 2, 3, 4]
    again = read_lines(run / "metrics.jsonl")
    for line in (*whole, *again):
        line.pop("progress/images_per_sec", None)
    assert again == whole


def test_a_finished_run_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["resume", "run"]) == 0
    assert f"gan-exp resume run steps={2 * STEPS}" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: is not the directory of a run"),
        (["latest"], "latest: there is no run under outputs/ here"),
        ([], "resume: which run? `latest`, its directory, or its short name"),
        (["run", "--steps", "5"], "resume: --steps: unknown option"),
        (["run", "-hydra.run.dir=-1"], "resume: -hydra.run.dir: unknown option"),  # not -h
        (["steps=20"], "steps=20: the run comes first: gan-exp resume latest steps=20"),
        (["run", "steps"], "steps: must be written key=value"),
        (["run", "steps=abc"], "steps=abc: must be a whole number"),
        (["run", "steps=2026-01-01"], "steps=2026-01-01: must be a whole number"),
        (["run", "steps=&a [*a]"], "steps=&a [*a]: the value can't be read ("),
        (["run", "steps=0"], "steps=0: must be greater than or equal to 1"),
        (["run", "steps=3"], "steps=3: the run is at step 4 already"),
        (["run", "stesp=9"], "stesp: unknown key; did you mean steps?"),
        (["run", "lr=3e-3"], "lr: can't change in the middle of a run"),
        (["run", "seed=1", "batch_size=8"], "batch_size, seed: can't change in the middle of a run"),
        (["run", "model.generator.widths=[9]"], "model.generator.widths: can't change in the middle of a run"),
        (["run", "model=dcgan"], "model=dcgan: model is a group"),
        (["run", "device.name=gpu"], "device.name=gpu: must be 'auto', 'cpu', 'cuda' or 'mps'"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["resume", *words]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("gan-exp: ")
    assert sentence in captured
    assert captured.count("\n") == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def edit_config(run: Path, **changes: object) -> None:
    config = RunDir(run).read_config()
    (run / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))


@pytest.mark.parametrize("command", ["resume", "sample"])
def test_damage(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of damage that a run's directory can take, one after the other, and a sentence for it."""
    more = ["steps=9"] if command == "resume" else []

    def refused(sentence: str) -> None:
        assert main([command, "run", *more]) == 2
        captured = capsys.readouterr().err
        assert sentence in captured
        assert captured.count("\n") == 1

    whole = (run / "config.yaml").read_text()
    for content, sentence in (
        ("[", "config.yaml: can't be read ("),
        ("just words", "config.yaml: must hold keys and values"),
        (whole.replace("lr: 0.001", "lr: -1"), "lr=-1: must be greater than 0"),
        (whole.replace("steps:", "stesp:", 1), "is missing"),
        (whole.replace("gan_exp.losses.NonSaturating", "os.system"), "only gan_exp.losses may be named there"),
        (
            whole.replace("widths:\n    - 8", "widths:\n    - 9"),
            "can't change in the middle of a run" if command == "resume" else "don't fit the model",
        ),
    ):
        assert content != whole
        (run / "config.yaml").write_text(content)
        refused(sentence)
    (run / "config.yaml").write_text(whole)

    for _, path in RunDir(run).list_checkpoints():
        path.write_bytes(path.read_bytes()[:-100])
    refused("no undamaged checkpoint to resume from (")
    shutil.rmtree(run / "checkpoints")
    refused("it holds none yet")  # a run that has a status began: it must not begin again in silence


def test_a_status_that_cannot_be_read_is_no_hindrance(run: Path) -> None:
    """A power cut may leave it so, and the checkpoints know better."""
    (run / "status.json").write_text("{")
    assert main(["resume", "run", f"steps={STEPS + 1}"]) == 0
    assert RunDir(run).read_status()["step"] == STEPS + 1


def test_an_edited_configuration_is_another_experiment(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_config(run, lr=3e-3, steps=9)
    assert main(["resume", "run"]) == 2
    captured = capsys.readouterr().err
    assert "lr: can't change in the middle of a run" in captured and "lr=0.001" in captured
    edit_config(run, lr=1e-3, steps=STEPS + 1)
    assert main(["resume", "run"]) == 0


def test_what_a_killed_process_left_half_written_is_removed(run: Path) -> None:
    for name in (".config.yaml-7.partial", "checkpoints/.step-00000009.pt-7.partial", "samples/.a.png-7.partial"):
        (run / name).write_bytes(b"half")
    assert main(["resume", "run", f"steps={STEPS + 1}"]) == 0
    assert not list(run.rglob("*.partial"))
