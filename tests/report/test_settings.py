"""What differs from the defaults: choices by their options, and not the values that follow from others."""

import pytest

from builders import plain_config
from gan_exp.config.catalog import conf_dir, groups
from gan_exp.config.overrides import leaves
from gan_exp.report.settings import differing, settings, shared_settings


def configuration(*words: str) -> dict[str, object]:
    return leaves(plain_config(*words).model_dump(mode="json"))


def test_of_the_defaults_nothing_differs() -> None:
    assert differing(settings(configuration())) == []


def test_what_was_chosen_differs_and_not_what_follows_from_it() -> None:
    """optimizer.*.lr is lr, and a name is that of model and data set."""
    rows = settings(configuration("model=dcgan", "lr=0.001", "penalty=none", "steps=9000"))
    assert differing(rows) == [("model", "dcgan"), ("penalty", "none"), ("steps", "9000"), ("lr", "0.001")]
    by_key = {row.key: row for row in rows}
    assert by_key["steps"].default == "5000" and by_key["steps"].meaning.startswith("generator updates")
    assert by_key["optimizer.generator.lr"].value == "0.001" and not by_key["optimizer.generator.lr"].differs
    assert by_key["optimizer.generator.lr"].default == "0.001" and by_key["name"].default == "dcgan-digits"
    assert by_key["display"].value == "quiet" and not by_key["display"].differs  # of the output: it trains the same


def test_one_network_s_own_rate_differs() -> None:
    assert differing(settings(configuration("optimizer.discriminator.lr=4e-4"))) == [
        ("optimizer.discriminator.lr", "0.0004")
    ]


@pytest.mark.parametrize("group", ["optimizer", "loss", "penalty", "augment"])
def test_every_option_is_recognised(group: str) -> None:
    for option in groups()[group]:
        rows = settings(configuration(f"{group}={option}"))
        choice = next(row for row in rows if row.key == group)
        assert choice.value == option and (choice.meaning or group == "optimizer")


def test_a_class_of_the_user_s_own_is_named_and_its_arguments_differ() -> None:
    own = {**configuration(), "loss._target_": "mine.<b>Loss</b>", "loss.weight": 3}
    own.pop("loss.label_smoothing", None)
    assert ("loss.weight", "3") in differing(settings(own)) and ("loss", "<b>Loss</b>") in differing(settings(own))


def test_a_configuration_of_an_older_version() -> None:
    old = configuration()
    del old["fast_path"]
    old["window"] = 100
    assert differing(settings(old)) == []


def test_settings_shared_by_all() -> None:
    keys = {
        row.key for row in shared_settings([configuration("model=mlp"), configuration("model=dcgan", "steps=8000")])
    }
    assert "model" not in keys and "model.generator.widths" not in keys and {"steps", "loss", "dataset"} <= keys
    assert conf_dir().is_dir()
