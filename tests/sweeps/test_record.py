"""A sweep's record: read back as it was written, from older versions too; values that are new to it add runs."""

from pathlib import Path

import pytest

from gan_exp.errors import UserError
from gan_exp.sweeps.record import Record, grown, read_record, write_record
from gan_exp.sweeps.words import Expansion

HYDRAS = """\
lr: 0.1
hydra:
  overrides:
    hydra: [hydra.mode=MULTIRUN]
    task: ['lr=1,2', steps=3]
"""
OLD = Expansion(("lr=1,2", "steps=3"))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    new = Expansion(("lr=1,2", "batch_size=3,4"), (("lr", "batch_size"),))
    write_record(tmp_path / "swept", HYDRAS, [OLD, new])
    assert read_record(tmp_path / "swept") == Record([OLD, new], ["hydra.mode=MULTIRUN"])


def test_one_of_an_older_version(tmp_path: Path) -> None:
    """It has Hydra's words alone."""
    (tmp_path / "multirun.yaml").write_text(HYDRAS)
    assert read_record(tmp_path).expansions == [OLD]


@pytest.mark.parametrize(
    "ours", ["expansions: 3", "expansions: [3]", "expansions: [{linked: []}]", "expansions: {a: b}"]
)
def test_a_damaged_one(ours: str, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text(HYDRAS + ours)
    with pytest.raises(UserError, match="can't be read"):
        read_record(tmp_path)


@pytest.mark.parametrize("word", ["hydra.launcher._target_=os.abort", "--config-dir=x", "a@hydra.x=y"])
def test_words_that_are_no_values_of_runs(word: str, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text(f"{HYDRAS}expansions: [{{words: ['lr=1', '{word}']}}]")
    with pytest.raises(UserError, match="is no value of a run"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("lr=1,2", "steps=3")),
        (["seed=range(0,5)"], ("lr=1,2", "steps=3", "seed=range(0,5)")),
        (["lr=3"], ("lr=3", "steps=3")),  # it varies there
        (["+lr=3,4"], ("+lr=3,4", "steps=3")),
        (["steps=3,4"], ("lr=1,2", "steps=3,4")),
    ],
)
def test_growth(words: list[str], expected: tuple[str, ...]) -> None:
    assert grown(OLD, words).words == expected


@pytest.mark.parametrize("word", ["steps=9", "model=dcgan", "model.generator.widths=[8,9]"])
def test_a_single_value_would_be_another_sweep(word: str) -> None:
    with pytest.raises(UserError, match="the runs of a sweep keep their values"):
        grown(OLD, [word])
