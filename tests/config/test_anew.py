"""The configuration of an old run, with other options and values."""

from typing import Any

import pytest

from builders import make_config
from gan_exp.config.anew import anew, chosen_once
from gan_exp.config.check import check
from gan_exp.errors import UserError


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    data = ("dataset=folder", "dataset.root=/images", "dataset.size=32")
    plain = ("model=dcgan", "penalty=wgan_gp", "lr=2e-4", "name=dcgan-folder", "optimizer.discriminator.lr=1e-3")
    return make_config(*plain, *data).model_dump(mode="json")


def test_values(saved: dict[str, Any]) -> None:
    assert anew(saved, []) == saved
    assert anew(saved, ["steps=7"]) == {**saved, "steps": 7}


def test_what_follows_lr_follows_it_still(saved: dict[str, Any]) -> None:
    optimizer = anew(saved, ["lr=5e-4"])["optimizer"]
    assert (optimizer["generator"]["lr"], optimizer["discriminator"]["lr"]) == (5e-4, 1e-3)
    optimizer = anew(saved, ["lr=5e-4", "optimizer.generator.lr=2e-4"])["optimizer"]
    assert optimizer["generator"]["lr"] == 2e-4


def test_an_option_that_is_chosen_already_changes_nothing(saved: dict[str, Any]) -> None:
    words = ["dataset=folder", "model=dcgan", "penalty=wgan_gp", "optimizer=adam", "dataset.root=/other"]
    assert anew(saved, words) == {**saved, "dataset": {**saved["dataset"], "root": "/other"}}


def test_other_options(saved: dict[str, Any]) -> None:
    changed = anew(saved, ["augment=ada", "augment.target=0.5", "model=mlp"])
    assert changed["augment"]["target"] == 0.5 and "widths" in changed["model"]["generator"]
    assert changed["name"] == "mlp-folder" and changed["dataset"] == saved["dataset"]
    changed = anew(saved, ["optimizer=sgd"])  # which refers to the lr of the run
    assert changed["optimizer"]["generator"]["lr"] == 2e-4
    assert changed["name"] == saved["name"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("augment=adda", "augment=adda"),
        ("sede=1", "sede: unknown key; did you mean seed?"),
        ("experiment=article", "experiment: unknown key"),
    ],
)
def test_refusals(word: str, sentence: str, saved: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        anew(saved, [word])
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["5", "[1]", "null", "{a: 1}"])
def test_lines_that_are_none_are_left_to_the_check(value: str, saved: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="chosen"):
        check(anew(saved, [f"chosen={value}"]))


def test_of_what_was_chosen_for_a_folder_the_rest_stays(saved: dict[str, Any]) -> None:
    own = {**saved, "chosen": ["steps=9 (few)", "dataset.size=64 (large)", "advice"]}
    assert anew(own, ["steps=10"])["chosen"] == ["dataset.size=64 (large)", "advice"]
    assert anew(own, ["dataset.root=elsewhere"])["chosen"] == []


def test_a_folder_has_its_settings_chosen_once(saved: dict[str, Any]) -> None:
    """A run that goes on elsewhere keeps those that it began with, unless the words say otherwise."""
    before = {**saved, "steps": 9, "batch_size": 8, "chosen": ["batch_size=8 (few)"]}
    now = {**saved, "steps": 12, "batch_size": 16, "chosen": ["batch_size=16 (many)"]}
    words = ["dataset=folder", "dataset.root='/images'", "steps=12"]
    assert chosen_once(now, before, words) == {**before, "steps": 12}
    assert chosen_once(now, before, [*words, "batch_size=16"])["batch_size"] == 16
    assert chosen_once({**now, "chosen": []}, before, words)["batch_size"] == 16
    other = {**now, "penalty": {"_target_": "gan_exp.penalties.R1", "gamma": 1.0}}
    assert chosen_once(other, before, [*words, "penalty=r1"]) == other
