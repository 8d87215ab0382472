from typing import Any

import pytest

from gan_exp.errors import UserError
from gan_exp.overrides import apply_overrides, leaf_keys, leaves


@pytest.fixture
def config() -> dict[str, Any]:
    return {"steps": 10, "lr": 0.1, "name": "a", "model": {"generator": {"widths": [8], "leak": None}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("2e-4", 2e-4),
        ("1E5", 1e5),
        ("-.5e-3", -5e-4),
        ("[1, 2]", [1, 2]),
        ("null", None),
        ("true", True),
        ("", None),
        ("a=b", "a=b"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_values_are_yaml(text: str, value: object, config: dict[str, Any]) -> None:
    changed = apply_overrides(config, [f"lr={text}"])
    assert changed == {**config, "lr": value}
    assert type(changed["lr"]) is type(value)


def test_nested_keys_and_several(config: dict[str, Any]) -> None:
    changed = apply_overrides(config, ["model.generator.widths=[4]", "steps=3", "steps=4"])
    assert changed["model"]["generator"]["widths"] == [4]
    assert changed["steps"] == 4
    assert config["model"]["generator"]["widths"] == [8]  # a copy


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps", "steps: must be written key=value, such as steps=20000"),
        ("stpes=1", "stpes: unknown key; did you mean steps?"),
        ("+steps=1", "+steps: unknown key; did you mean steps?"),
        ("model.generator.width=1", "did you mean model.generator.widths?"),
        ("model.generator.widths.0=1", "model.generator.widths.0: unknown key"),
        ("steps.x=1", "steps.x: unknown key"),
        (".=1", ".: unknown key"),
        ("=1", ": unknown key"),
        ("model=dcgan", "model=dcgan: model is a group"),
        ("model.generator=1", "model.generator=1: model.generator is a group"),
        ("lr=[", "lr=[: the value can't be read ("),
        ("lr=&a [*a]", "lr=&a [*a]: the value can't be read ("),
        ("lr=!!binary aGk=", "lr=!!binary aGk=: the value can't be read ("),
        ("lr=!!python/name:os.system", "the value can't be read ("),
    ],
)
def test_refusals(override: str, sentence: str, config: dict[str, Any]) -> None:
    before = repr(config)
    with pytest.raises(UserError) as caught:
        apply_overrides(config, [override])
    assert sentence in str(caught.value)
    assert repr(config) == before


def test_leaves(config: dict[str, Any]) -> None:
    assert leaf_keys(config) == ["steps", "lr", "name", "model.generator.widths", "model.generator.leak"]
    assert leaves(config)["model.generator.widths"] == [8]
