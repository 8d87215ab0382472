"""Checkpoints: loaded undamaged or refused in one sentence; nothing in them is executed."""

import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import assert_same
from gan_exp.errors import UserError
from gan_exp.runs import checkpoint
from gan_exp.runs.checkpoint import FORMAT, find_fault, load_checkpoint, load_newest, save_checkpoint
from gan_exp.runs.run_dir import RunDir


def content(step: int = 5) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(step)
    return {
        "step": step,
        "image_shape": [1, 8, 8],
        "generator": {"weight": torch.randn(20, 3, generator=generator), "count": torch.tensor(7)},
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.5, 0.9)}]},
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    return run


def test_what_is_saved_comes_back(run: RunDir) -> None:
    path = save_checkpoint(run, 5, content(), keep=1)
    assert path == run.checkpoint(5) and find_fault(path) is None
    assert_same(load_checkpoint(path), {"format": FORMAT, **content()})
    assert [file.name for file in run.checkpoints.iterdir()] == [path.name]  # no spare file is left behind


def test_a_truncated_file_is_found(run: RunDir) -> None:
    path = save_checkpoint(run, 5, content(), keep=1)
    whole = path.read_bytes()
    for length in {0, 1, 3, 4, 22, *range(0, len(whole), 61), *range(len(whole) - 64, len(whole))}:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="the checkpoint is damaged"):
            load_checkpoint(path)


@pytest.mark.slow
def test_a_flipped_bit_is_found_or_harmless(run: RunDir) -> None:
    """All values are covered by a checksum; the rest (padding, dates) may change without changing the content."""
    path = save_checkpoint(run, 5, content(), keep=1)
    whole = path.read_bytes()
    chosen = random.Random(0)
    found = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(damaged)
        try:
            assert_same(load_checkpoint(path), {"format": FORMAT, **content()}, f"byte {place}")
        except UserError:
            found += 1
    assert found > 100


def test_every_bit_of_a_tensor_is_under_a_checksum(run: RunDir) -> None:
    path = save_checkpoint(run, 5, content(), keep=1)
    whole = path.read_bytes()
    start = whole.index(content()["generator"]["weight"].numpy().tobytes())
    for place in range(start, start + 240, 7):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(UserError, match="is not as it was written"):
                load_checkpoint(path)


def test_a_part_that_is_marked_as_a_directory_is_found(run: RunDir) -> None:
    """torch would load it as empty: the only flipped bit that changes the content and is not under a checksum."""
    path = save_checkpoint(run, 5, content(), keep=1)
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    while entry >= 0:
        damaged = bytearray(whole)
        damaged[entry + 38] ^= 0x10  # external attributes
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is not as it was written"):
            load_checkpoint(path)
        entry = whole.find(b"PK\x01\x02", entry + 1)


def test_a_newer_format_is_refused(run: RunDir) -> None:
    torch.save({"format": FORMAT + 1}, run.checkpoint(1))
    with pytest.raises(UserError, match="written by a newer gan-exp"):
        load_checkpoint(run.checkpoint(1))


@pytest.mark.parametrize("other", [[1, 2], {"weights": 1}, torch.zeros(3), {"format": "1"}])
def test_other_content_is_refused(run: RunDir, other: object) -> None:
    torch.save(other, run.checkpoint(1))
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_checkpoint(run.checkpoint(1))


def test_files_of_other_kinds_are_refused(run: RunDir) -> None:
    path = run.checkpoint(1)
    for data in (b"", b"hello", b"PK\x03\x04", pickle.dumps({"format": 1}), bytes(10_000)):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            load_checkpoint(path)
    for name, data in (("readme.txt", b"hello"), ("archive/data.pkl", b"hello"), ("archive/data.pkl", b"")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, data)
        with pytest.raises(UserError, match="is not a checkpoint"):
            load_checkpoint(path)
    path.unlink()
    with pytest.raises(UserError, match="No such file"):
        load_checkpoint(path)


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_malicious_pickle_runs_nothing(run: RunDir, tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    torch.save({"format": FORMAT, "step": Malicious(trace)}, run.checkpoint(1))
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_checkpoint(run.checkpoint(1))
    assert not trace.exists()
    torch.load(run.checkpoint(1), weights_only=False)  # the trap works
    assert trace.exists()


def test_the_newest_are_kept(run: RunDir) -> None:
    for step in (1, 2, 30, 4000, 123_456_789):  # the last has more digits than the name has room for
        save_checkpoint(run, step, content(step), keep=2)
    assert [step for step, _ in run.list_checkpoints()] == [4000, 123_456_789]


def test_an_older_one_is_kept_until_the_new_one_reads_back(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(run, 1, content(1), keep=1)

    def write_half(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(checkpoint, "write_atomically", write_half)
    with pytest.raises(OSError, match="reads back damaged"):
        save_checkpoint(run, 2, content(2), keep=1)
    loaded, passed = load_newest(run)
    assert loaded["step"] == 1 and len(passed) == 1


def test_pruning_does_not_take_damaged_newer_ones_for_good(run: RunDir) -> None:
    """After a resume from 10, because 20 and 30 are damaged, the checkpoint of 15 must not be removed as the oldest."""
    save_checkpoint(run, 10, content(10), keep=2)
    for step in (20, 30):
        run.checkpoint(step).write_bytes(b"damaged")
    save_checkpoint(run, 15, content(15), keep=2)
    loaded, passed = load_newest(run)
    assert loaded["step"] == 15 and len(passed) == 2
    assert run.checkpoint(10).exists()


def test_the_newest_undamaged_checkpoint_is_loaded(run: RunDir) -> None:
    for step in (1, 2, 3):
        save_checkpoint(run, step, content(step), keep=5)
    loaded, passed = load_newest(run)
    assert loaded["step"] == 3 and passed == []
    run.checkpoint(3).write_bytes(run.checkpoint(3).read_bytes()[:-100])
    run.checkpoint(2).write_bytes(b"")
    loaded, passed = load_newest(run)
    assert loaded["step"] == 1
    assert [str(run.checkpoint(step)) in sentence for step, sentence in zip((3, 2), passed, strict=True)] == [True] * 2


def test_the_file_of_another_step_is_skipped(run: RunDir) -> None:
    """Undamaged files under wrong names: one copied over the newest, or two swapped."""
    for step in (1, 2, 3):
        save_checkpoint(run, step, content(step), keep=5)
    second, third = run.checkpoint(2).read_bytes(), run.checkpoint(3).read_bytes()
    run.checkpoint(2).write_bytes(third)
    run.checkpoint(3).write_bytes(second)
    loaded, passed = load_newest(run)
    assert loaded["step"] == 1 and ["holds step 2" in passed[0], "holds step 3" in passed[1]] == [True, True]


def test_without_an_undamaged_checkpoint_there_is_a_message(run: RunDir) -> None:
    with pytest.raises(UserError, match=r"no undamaged checkpoint to resume from \(it holds none yet\)"):
        load_newest(run)
    run.checkpoint(3).write_bytes(b"")
    with pytest.raises(UserError, match=r"no undamaged checkpoint to resume from \(.*3.pt: the checkpoint is damaged"):
        load_newest(run)
