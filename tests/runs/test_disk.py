"""Disks that are full, read-only or gone during a run: one sentence, exit code 1, and no checkpoint lost."""

import contextlib
import ctypes
import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import assert_same, in_each_step
from forked import Forked
from gan_exp.cli import main
from gan_exp.runs.checkpoint import find_fault, load_checkpoint
from gan_exp.runs.run_dir import RunDir
from waiting import LONGEST_WAIT_S

pytestmark = pytest.mark.slow
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="a separate file system needs Linux")

STEPS = 20
WORDS = ["display=quiet", "device=cpu", "model.generator.widths=[8]", "model.discriminator.widths=[8]", "batch_size=4"]
RHYTHM = ["log_every_steps=5", "sample_every_steps=500", "checkpoint_every_steps=1", "keep_checkpoints=100"]
TRAIN = ["train", *WORDS, *RHYTHM, f"steps={STEPS}", "hydra.run.dir=run"]


def at_step(step: int, happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call `act` in the middle of a step. Returns a function that undoes the patch."""
    return in_each_step(monkeypatch, lambda state: happens() if state.step == step else None)


def fails(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which the run ends."""
    capsys.readouterr()
    assert main(TRAIN) == 1
    output = capsys.readouterr().err
    assert output.startswith("gan-exp: ") and output.count("\n") == 1 and "gan-exp resume" in output
    return output


def newest_whole(run: RunDir) -> int:
    step, path = run.list_checkpoints()[-1]
    assert find_fault(path) is None and not list(run.path.rglob("*.partial"))
    return step


NAMESPACES = 0x10000000 | 0x00020000  # CLONE_NEWUSER, CLONE_NEWNS
NOT_PERMITTED = 77


def where_it_may_mount(act: Callable[[], int], place: Path) -> tuple[str, str]:
    """What a process prints that may mount file systems of its own; skips the test where there can be none."""

    def privileged() -> int:
        user, group = os.getuid(), os.getgid()
        if ctypes.CDLL(None).unshare(NAMESPACES):
            return NOT_PERMITTED
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        return act()

    process = Forked(privileged, place)
    printed, output = process.communicate(LONGEST_WAIT_S)
    if process.returncode == NOT_PERMITTED:
        pytest.skip(f"mounting is not permitted here: {output}")
    assert process.returncode == 0, output
    return printed, output


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        sys.exit(NOT_PERMITTED)


@needs_linux
def test_a_small_disk_that_is_full(in_tmp: Path) -> None:
    """A real file system, on which such a run is refused unless one insists. With room again the run continues.

    The result is the same as on a large disk.
    """
    Path("small").mkdir()

    def fill() -> int:
        mount("-t", "tmpfs", "-o", "size=600k", "none", "small")
        os.chdir("small")
        Path("ballast").write_bytes(bytes(300_000))
        print("code", main([*TRAIN, "check_resources=false"]))
        print("free", shutil.disk_usage(".").free)
        shutil.copytree("run", "../full")
        Path("ballast").unlink()
        print("code", main(["resume", "run", "keep_checkpoints=2"]))
        shutil.copytree("run", "../resumed")
        return 0

    printed, output = where_it_may_mount(fill, in_tmp)
    first, free, second = (line for line in printed.splitlines() if line.startswith(("code", "free")))
    assert (first, second) == ("code 1", "code 0") and int(free.split()[1]) < 100_000
    assert "the disk is full" in output and "No space left on device" in output and "make room" in output
    reached = newest_whole(RunDir("full"))
    assert 0 < reached < STEPS
    assert main([*TRAIN[:-1], "hydra.run.dir=whole"]) == 0
    changed = {"config": None}  # keep_checkpoints
    whole, resumed = (load_checkpoint(RunDir(name).checkpoint(STEPS)) | changed for name in ("whole", "resumed"))
    assert_same(whole, resumed)


def test_a_file_that_may_not_grow(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's limit on the size of files, which acts like a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    undo = at_step(6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1])), monkeypatch)
    try:
        assert "the disk is full or the file too large: File too large" in fails(capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = RunDir("run")
    assert newest_whole(run) == 6 and run.read_status()["state"] == "failed"
    undo()
    assert main(["resume", "run"]) == 0


def test_a_directory_that_vanishes(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = at_step(6, lambda: Path("run").rename("moved"), monkeypatch)
    assert "the run directory vanished" in (output := fails(capsys)) and "restore it" in output
    assert not Path("run").exists()  # and no part of it is created again
    Path("moved").rename("run")
    assert newest_whole(RunDir("run")) == 6
    undo()
    assert main(["resume", "run"]) == 0


def test_a_part_that_vanishes(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_step(6, lambda: shutil.rmtree("run/checkpoints"), monkeypatch)
    assert "a part of the run directory vanished" in fails(capsys)
    capsys.readouterr()
    assert main(["resume", "run"]) == 2  # it has begun, and must not silently begin again
    assert "it holds none yet" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_any_more(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_step(6, lambda: Path("run/checkpoints").chmod(0o500), monkeypatch)
    try:
        assert "can't be written any more" in fails(capsys)
    finally:
        Path("run/checkpoints").chmod(0o700)
    assert newest_whole(RunDir("run")) == 6


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EROFS, "can't be written any more: Read-only file system"),
        (errno.EDQUOT, "the disk is full or the file too large: Disk quota exceeded"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_any_error_of_the_disk(
    number: int, sentence: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a step on every write fails, up to the last status."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    at_step(6, lambda: monkeypatch.setattr(os, "fsync", refuse), monkeypatch)
    assert sentence in fails(capsys)
    monkeypatch.undo()
    with contextlib.chdir(in_tmp):
        assert newest_whole(RunDir("run")) == 6
        assert main(["resume", "run"]) == 0


@needs_linux
def test_a_read_only_run_is_refused(run: Path) -> None:
    def resume() -> int:
        mount("--bind", "run", "run")
        mount("-o", "remount,ro,bind", "run", "run")
        assert main(["resume", "run", "steps=9"]) == 2
        return 0

    _, output = where_it_may_mount(resume, Path.cwd())
    assert "can't be written (Read-only file system)" in output and output.count("\n") == 1
