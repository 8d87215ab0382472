"""A run's directory: created once, written atomically, found again."""

import json
import os
import threading
from pathlib import Path

import pytest

from gan_exp.errors import UserError
from gan_exp.runs import run_dir
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.files import make_unique_directory, write_atomically


def test_a_new_run_explains_itself(in_tmp: Path) -> None:
    run = RunDir.create("outputs/day/time-name", {"lr": 2e-4, "name": "größer", "steps": 3}, {"python": "3"})
    assert run.read_config() == {"lr": 2e-4, "name": "größer", "steps": 3}
    assert json.loads(run.environment.read_text()) == {"python": "3"}
    assert run.samples.is_dir() and run.checkpoints.is_dir()
    assert RunDir.open("latest").path == RunDir.open("outputs/day/time-name").path == run.path.resolve()


def test_a_run_is_not_written_over(in_tmp: Path) -> None:
    RunDir.create("run", {"steps": 1}, {})
    with pytest.raises(UserError, match="holds a run already"):
        RunDir.create("run", {"steps": 2}, {})
    assert RunDir("run").read_config() == {"steps": 1}


def test_latest_is_the_newest_one_wherever_it_is(in_tmp: Path) -> None:
    RunDir.create("outputs/a", {}, {})
    elsewhere = RunDir.create(in_tmp / "elsewhere" / "b", {}, {})
    assert RunDir.open("latest").path == elsewhere.path
    RunDir.create("outputs/c", {}, {})
    assert RunDir.open("latest").path.name == "c"
    assert [path.name for path in Path("outputs").iterdir() if path.name.startswith(".")] == []


def test_latest_without_symbolic_links(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    RunDir.create("outputs/day/a", {}, {})
    assert not Path("outputs/latest").is_symlink()
    assert RunDir.open("latest").path == Path("outputs/day/a").resolve()


def test_other_directories_are_refused(in_tmp: Path) -> None:
    with pytest.raises(UserError, match="there is no run under outputs/ here"):
        RunDir.open("latest")
    with pytest.raises(UserError, match="nowhere: is not the directory of a run, nor the name of one"):
        RunDir.open("nowhere")


def test_a_place_that_cannot_be_written(in_tmp: Path) -> None:
    Path("file").write_text("")
    for make in (lambda: RunDir.create("file/run", {}, {}), lambda: make_unique_directory("file/run")):
        with pytest.raises(UserError, match=r"can't be written \(.*; choose another directory with hydra.run.dir="):
            make()


@pytest.mark.parametrize("text", ["a: [", "just words", "- 1", "\x00"])
def test_a_damaged_configuration_is_a_sentence(in_tmp: Path, text: str) -> None:
    run = RunDir.create("run", {}, {})
    run.config.write_text(text)
    with pytest.raises(UserError, match=r"config.yaml: (can't be read|must hold keys and values)"):
        run.read_config()


def test_aliases_are_refused(in_tmp: Path) -> None:
    """A list that contains itself, and a dozen lines that expand to 10^10 values; files written here have none."""
    shared = [1, 2]
    run = RunDir.create("run", {"a": shared, "b": shared}, {})
    assert run.read_config() == {"a": [1, 2], "b": [1, 2]}
    laughs = "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 11))
    for text in ("a: &a [*a]", f"a0: &a0 [1]\n{laughs}"):
        run.config.write_text(text)
        with pytest.raises(UserError, match=r"config.yaml: can't be read \(\*a\d? must be written out"):
            run.read_config()


def test_numbers_in_scientific_notation_are_numbers(in_tmp: Path) -> None:
    run = RunDir.create("run", {}, {})
    run.config.write_text("a: 2e-4\nb: 1E5\nc: 1.5e+3\nd: 0.1\ne: e5\nf: 1e\ng: '2e-4'\n")
    assert run.read_config() == {"a": 2e-4, "b": 1e5, "c": 1500, "d": 0.1, "e": "e5", "f": "1e", "g": "2e-4"}


def test_status(in_tmp: Path) -> None:
    run = RunDir.create("run", {}, {})
    assert run.read_status() == {}
    run.write_status("failed", 7, "no room", metrics={"loss/generator": 1.5})
    assert run.read_status() == {"state": "failed", "step": 7, "reason": "no room", "metrics": {"loss/generator": 1.5}}


def test_files_are_listed_by_their_step(in_tmp: Path) -> None:
    run = RunDir.create("run", {}, {})
    for step in (20, 3, 100_000_000):
        run.checkpoint(step).touch()
        run.sample_grid(step).touch()
    (run.checkpoints / "step-best.pt").touch()
    (run.checkpoints / ".step-00000005.pt-77").touch()  # what a killed process was writing
    assert [step for step, _ in run.list_checkpoints()] == [3, 20, 100_000_000]
    assert [path for _, path in run.list_sample_grids()] == [run.sample_grid(step) for step in (3, 20, 100_000_000)]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_dir.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(run_dir.os, "fsync", lambda descriptor: (order.append("sync"), fsync(descriptor))[1])
    monkeypatch.setattr(run_dir.os, "replace", lambda *paths: (order.append("rename"), replace(*paths))[1])
    write_atomically(tmp_path / "file", "content")
    assert order == ["sync", "rename", "sync"]


def test_runs_that_start_together_never_share_a_directory(in_tmp: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(make_unique_directory("outputs/run"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 12 and all(Path(path).is_dir() for path in made)
    assert {"outputs/run", "outputs/run-2", "outputs/run-12"} <= set(made)


def test_one_directory_is_one_run_even_when_two_ask_for_it(in_tmp: Path) -> None:
    outcomes: list[str] = []

    def create() -> None:
        try:
            RunDir.create("run", {}, {})
            outcomes.append("made")
        except UserError:
            outcomes.append("refused")

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["refused"] * 7
