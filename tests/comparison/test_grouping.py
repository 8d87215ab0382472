from itertools import product
from pathlib import Path

import pytest

from gan_exp.comparison.grouping import MISSING, differing, group_runs, label, text
from gan_exp.comparison.records import RunRecord, read_runs
from written_runs import write_run


def runs(place: Path, *each: tuple[str, ...]) -> list[RunRecord]:
    for number, words in enumerate(each):
        write_run(place / str(number), "steps=300", "batch_size=32", "lr=2e-4", *words)
    return read_runs([place])


def keys(place: Path, *each: tuple[str, ...]) -> list[str]:
    return differing([record.configuration for record in runs(place, *each)])


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ([()], []),
        ([(), ()], []),
        ([("lr=1e-3",), ()], ["lr"]),  # and not the learning rates of both optimizers, which follow
        ([("lr=1e-3",), ("optimizer.generator.lr=1e-3",)], ["lr", "optimizer.discriminator.lr"]),  # G's is the same
        ([("optimizer.generator.lr=1e-3",), ()], ["optimizer.generator.lr"]),
        ([("model=dcgan",), ()], ["model"]),  # and not its arguments, nor the run's name
        ([("model=dcgan",), (), ("model.generator.widths=[8]",)], ["model", "model.generator.widths"]),
        ([("loss=wgan",), (), ("loss=wgan", "loss.clip=0.1")], ["loss", "loss.clip"]),
        ([("penalty=none",), ()], ["penalty"]),
        ([("penalty=r1", "penalty.gamma=1"), ("penalty=r1",)], ["penalty.gamma"]),
        ([("optimizer=rmsprop",), ()], ["optimizer"]),
        ([("dataset=ring", "model=points"), ()], ["model", "dataset"]),
        ([("schedule=linear",), ()], ["schedule.lr"]),
        ([("seed=1",), ("seed=2",)], ["seed"]),
        ([("log_every_steps=7", "name=mine", "device.threads=1", "display=plain", "fast_path=plain"), ()], []),
        ([("device.precision=bf16", "device.threads=1"), ("device.precision=float32",)], ["device.precision"]),
        ([("steps=100",), ("steps=200",)], ["steps"]),
    ],
)  # fmt: skip
def test_what_differs_and_only_that(each: list[tuple[str, ...]], expected: list[str], tmp_path: Path) -> None:
    assert sorted(keys(tmp_path, *each)) == sorted(expected)


def test_keys_of_the_output_too_if_asked(tmp_path: Path) -> None:
    records = runs(tmp_path, ("log_every_steps=7",), ())
    assert differing([record.configuration for record in records], every_key=True) == ["log_every_steps"]


def test_a_key_that_an_older_version_lacks_is_no_difference(tmp_path: Path) -> None:
    record, other = runs(tmp_path, (), ("lr=1e-3",))
    older = {key: value for key, value in record.configuration.items() if key != "reuse_fakes"}
    assert differing([older, other.configuration]) == ["lr"]


def test_groups_are_of_runs_that_differ_in_the_seed_alone(tmp_path: Path) -> None:
    settings = product(("lr=1e-3", "lr=2e-4"), ("model=mlp", "model=dcgan"), ("seed=0", "seed=1", "seed=2"))
    groups = group_runs(runs(tmp_path, *settings))
    assert [group.label for group in groups] == [
        "model=mlp lr=0.001",
        "model=dcgan lr=0.001",
        "model=mlp lr=0.0002",
        "model=dcgan lr=0.0002",
    ]
    assert [[record.seed for record in group.runs] for group in groups] == [[0, 1, 2]] * 4
    assert [record.name for record in groups[3].runs] == ["9", "10", "11"]


def test_a_single_group(tmp_path: Path) -> None:
    (group,) = group_runs(runs(tmp_path, ("seed=1",), ("seed=2",), ("seed=1",)))
    assert group.label == "all runs" and group.settings == {} and len(group.runs) == 3
    assert group_runs([]) == []


def test_words() -> None:
    settings = {"lr": 2e-4, "w": [8, 1.5], "x": None, "y": True, "z": 1, "gone": MISSING, "p": 0.123456789}
    assert label(settings) == "lr=0.0002 w=[8,1.5] x=null y=true z=1 p=0.123456789"
    assert text(1.0) == "1" and text(MISSING) == "-"
