"""A run stopped at any instant and resumed equals one never stopped: some instants; `make test-crash` tries all."""

import json
import signal
from pathlib import Path

import pytest

from crash.disk import Disk, Node
from crash.processes import ended, environment, explore, wait_for, words_for
from forked import fork_command
from gan_exp.runs.run_dir import RunDir

pytestmark = pytest.mark.slow


def test_some_of_the_instants(tmp_path: Path) -> None:
    """States that a killed process or a power cut leaves, and processes that are really killed, also within a call."""
    words = words_for("mlp", "penalty=r1", "augment=ada", "augment.every=2", "augment.images_to_one=500")
    killed = tmp_path / "prepared/killed"
    process = fork_command(killed, "train", *words, "hydra.run.dir=run", environ=environment())
    wait_for(process, RunDir(killed / "run").checkpoint(3))
    process.kill()
    assert ended(process).returncode == -signal.SIGKILL
    done = explore(tmp_path, words, "--states=8", "--kills=2", "--prepared=prepared")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["tried"] == 11


def test_what_a_power_cut_leaves(tmp_path: Path) -> None:
    """The model of the disk itself."""
    (tmp_path / "old").write_bytes(b"old")
    disk = Disk(tmp_path)
    new = Node()
    disk.come(tmp_path / "new", new)
    (tmp_path / "new").write_bytes(b"12345678")
    assert {frozenset(tree.items()) for _, tree in disk.states()} == {
        frozenset({("old", b"old"), *([("new", content)] if content is not None else [])})
        for content in (None, b"12345678", b"", b"1234", bytes(8))
    }
    disk.sync(new)
    disk.keep(tmp_path / "old")
    (tmp_path / "new").rename(tmp_path / "old")
    disk.move(tmp_path / "new", tmp_path / "old")
    trees = [tree for _, tree in disk.states()]
    assert {"old": b"old"} in trees and {"old": b"old", "new": b"12345678"} in trees and {"old": b"12345678"} in trees
    disk.sync(tmp_path)
    assert {frozenset(tree.items()) for _, tree in disk.states()} == {frozenset({("old", b"12345678")})}
