"""A refused run leaves nothing behind that it has made, and everything that was there."""

import os
import shutil
from pathlib import Path

import pytest

from builders import refused
from gan_exp.cli import main
from gan_exp.runs.new_directories import NewDirectories, given_places
from gan_exp.runs.run_dir import RunDir

BAD = ["lr=-1", "display=quiet"]


def tree() -> set[str]:
    return {str(path) for path in Path().rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], []),
        ([], ["hydra.run.dir=run"]),  # in an empty folder, which is the current one
        ([], ["hydra.run.dir=some/where/deep"]),
        ([], ["hydra.run.dir=a folder"]),
        ([], ["hydra.run.dir=${name}"]),
        (["run"], ["hydra.run.dir=run"]),  # the user's own, be it empty
        (["some"], ["hydra.run.dir=some/where/deep"]),
        (["outputs"], []),
        ([], ["-m", "lr=-1,-2"]),
        ([], ["-m", "lr=-1,-2", "hydra.sweep.dir=sweep"]),
        (["sweep/own"], ["-m", "lr=-1,-2", "hydra.sweep.dir=sweep"]),
        (["sweep/0"], ["-m", "lr=-1,-2", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${hydra.job.num}"]),
    ],
)
def test_a_refused_run_removes_what_it_has_made_and_nothing_else(
    there: list[str], words: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in there:
        Path(place).mkdir(parents=True)
    before = tree()
    assert main(["train", *BAD, *words]) == 2
    left = {path for path in tree() if not path.endswith("multirun.yaml")}  # Hydra's, in the user's sweep
    assert in_tmp.is_dir() and left - before == ({"mlp-digits"} if "hydra.run.dir=${name}" in words else set())
    assert before <= left


def test_a_day_of_another_run_stays(in_tmp: Path) -> None:
    new = NewDirectories()
    Path("outputs/2026-01-02/ours").mkdir(parents=True)
    Path("outputs/2026-01-02/theirs").mkdir()
    new.remove_unused(["outputs/2026-01-02/ours"])
    assert tree() == {"outputs", "outputs/2026-01-02", "outputs/2026-01-02/theirs"}


def test_what_was_made_is_removed_within_a_day_that_was_there(in_tmp: Path) -> None:
    Path("outputs/2026-01-02").mkdir(parents=True)
    new = NewDirectories()
    Path("outputs/2026-01-02/ours").mkdir()
    Path("outputs/2026-01-02/unknown").mkdir()
    with pytest.raises(ValueError, match="x"), new.removed_if_unused("outputs/2026-01-02/unknown"):
        raise ValueError("x")
    with pytest.raises(ValueError, match="x"), new.removed_if_unused("outputs/2026-01-02/ours", made=True):
        raise ValueError("x")
    assert tree() == {"outputs", "outputs/2026-01-02", "outputs/2026-01-02/unknown"}


def test_places_that_words_give() -> None:
    words = ["lr=1", "hydra.run.dir=a/b", "hydra.sweep.dir='x y'", "hydra.run.dir=${name}", "hydra.run.dir=", "-m"]
    assert given_places([*words, "hydra.run.dir=[1", "hydra.run.dir=null"]) == ["a/b", "x y"]


@pytest.mark.parametrize("place", ["\0", "a" * 300, "/proc/nothing/below", "file/below", "\udc80", "", "."])
def test_places_that_cannot_be(place: str, in_tmp: Path) -> None:
    Path("file").touch()
    new = NewDirectories([place])
    new.remove_unused([place])
    assert tree() == {"file"}


def test_a_run_again_that_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("outputs", ignore_errors=True)
    Path("own").mkdir()
    before = tree()
    for words in ([], ["hydra.run.dir=own"], ["hydra.run.dir=new"]):
        refused(["train", "--again", str(run), "model.generator.widths=[1000000000000]", *words], capsys)
        assert tree() == before


def test_files_that_look_like_the_runs_own_stay(run: Path) -> None:
    """What resuming and pruning remove has the very names that the run gives."""
    own = RunDir(run)
    theirs = ["checkpoints/step-1.pt", "checkpoints/step-mine.pt", "tensorboard/notes.txt", "samples/.notes.partial"]
    for name in theirs:
        (run / name).write_text("mine")
    steps = [step for step, _ in own.list_checkpoints()]
    own.remove_leftovers()
    own.discard_records()
    assert 1 not in steps and all((run / name).exists() for name in theirs)
    assert not [name for name in os.listdir(own.tensorboard) if name.startswith("events")]  # noqa: PTH208
