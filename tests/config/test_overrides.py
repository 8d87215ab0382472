from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gan_exp.config.overrides import QUOTED, apply_overrides, as_written, for_hydra, leaf_keys, leaves
from gan_exp.errors import UserError
from gan_exp.runtime.paths import expand_user


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


def test_a_number_of_thousands_of_digits_is_refused(config: dict[str, Any]) -> None:
    word = f"lr={'9' * 5000}"
    for read in (lambda: for_hydra(word, sweeping=False), lambda: apply_overrides(config, [word])):
        with pytest.raises(UserError, match=r"^lr=9+\.\.\.: has a number with thousands of digits"):
            read()
    assert for_hydra(f"lr={'9' * 4000}", sweeping=False) == f"lr={'9' * 4000}"


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


# --- paths and names as they stand -------------------------------------------------------------------------------

PATHS = [
    "~/pics", "/data/Bücher", "/x/Fotos (2024)", "a=b", "a,b", "[a]", "{a}", "it's", 'say "hi"', "'", "\\\\server\\x",
    "ends with \\", "a: b", "#1", "100%", "-x", "??", "null", "", "5", "true", "1e4", "2026-01-01", "a ${ b", "$HOME",
    "日本 😀", "*", "a|b", "(", "[", "'a' b", " ", "a\tb", "&a", "!!binary x", "choice(1", "range(1,3)",
]  # fmt: skip
KEYS = ["name", "dataset.root", "+dataset.cache", "hydra.run.dir"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=12)
NOT_AN_INTERPOLATION = TEXT.filter(lambda text: "${" not in text and not QUOTED.fullmatch(text))


def read_by_hydra(word: str) -> object:
    override = OverridesParser.create().parse_override(word)
    assert not override.is_sweep_override()
    config = OmegaConf.create({"key": override.value()})
    return OmegaConf.to_container(config, resolve=True)["key"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("text", PATHS)
@pytest.mark.parametrize("key", KEYS)
def test_a_path_is_taken_as_it_stands(key: str, text: str) -> None:
    wanted = None if text == "null" else text
    if key == "hydra.run.dir" and text.startswith("~"):  # data sets expand their own
        wanted = str(Path(text).expanduser())
    assert read_by_hydra(for_hydra(f"{key}={text}", sweeping=False)) == wanted


@settings(deadline=None, derandomize=True, max_examples=300)
@given(NOT_AN_INTERPOLATION)
def test_any_path_is_taken_as_it_stands(text: str) -> None:
    wanted = None if text == "null" else text
    assert read_by_hydra(for_hydra(f"dataset.root={text}", sweeping=False)) == wanted
    assert apply_overrides({"root": "x"}, [f"root={text}"]) == {"root": wanted or None}


@pytest.mark.parametrize("word", ["lr=1e-4", "lr=1,2", "widths=[8]", "~name", "~name=x", "name", "name=null", "name="])
def test_other_words_are_left_alone(word: str) -> None:
    assert for_hydra(word, sweeping=False) == for_hydra(word, sweeping=True) == word


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        ("~/x (1, 2),/data/Bücher", ["~/x (1, 2)", "/data/Bücher"]),
        ("1,2", ["1", "2"]),
        ("'a,b',c", ["a,b", "c"]),
        ("choice(a,b)", ["a", "b"]),
        ("range(1,3)", [1, 2]),
        ("/x/Fotos (2024, Mai)", ["/x/Fotos (2024, Mai)"]),
        ("range(1", ["range(1"]),
    ],
)
def test_in_a_sweep_commas_part_values(text: str, values: list[object]) -> None:
    override = OverridesParser.create().parse_override(for_hydra(f"dataset.root={text}", sweeping=True))
    if override.is_sweep_override():
        read = [one.text if isinstance(one, QuotedString) else one for one in override.sweep_iterator()]
    else:
        read = [override.value()]
    assert [str(one).strip("'") for one in read] == [str(one) for one in values]


def test_what_stays_hydras() -> None:
    assert for_hydra("name='a b'", sweeping=False) == "name='a b'"
    assert for_hydra("name=a,b", sweeping=False) == "name='a,b'"
    assert for_hydra("hydra.sweep.dir=a,b", sweeping=True) == "hydra.sweep.dir='a,b'"
    override = OverridesParser.create().parse_override(for_hydra("dir=y/${name}", sweeping=False))
    assert OmegaConf.create({"name": "x", "dir": override.value()}).dir == "y/x"


@pytest.mark.parametrize("word", ["lr=1", "name=a b", "dataset.root=/x/Fotos (2024)"])
def test_words_as_they_were_written(word: str) -> None:
    assert as_written(for_hydra(word, sweeping=False)) == word


@pytest.mark.parametrize("text", ["~", "~/x"])
def test_no_home_directory(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(UserError, match=f"hydra.run.dir={text}: ~ stands for the home directory, and there is none"):
        for_hydra(f"hydra.run.dir={text}", sweeping=False)
    assert expand_user("~nobody/x", "--output") == Path("~nobody/x")


def test_a_run_of_an_earlier_version_is_told_how_its_data_is_read(config: dict[str, Any]) -> None:
    """Its digest tells whether that is the same data; other keys are added by none but a new run."""
    config["dataset"] = {"name": "folder"}
    assert apply_overrides(config, ["dataset.labels=folders"])["dataset"]["labels"] == "folders"
    with pytest.raises(UserError, match=r"^dataset\.mirror: unknown key"):
        apply_overrides(config, ["dataset.mirror=true"])
    assert apply_overrides(config, ["dataset.mirror=true"], ["dataset.mirror"])["dataset"]["mirror"] is True


def test_a_run_of_an_earlier_version_is_told_its_precision(config: dict[str, Any]) -> None:
    config["device"] = {"name": "cpu", "tf32": False}
    assert apply_overrides(config, ["device.precision=bf16"])["device"]["precision"] == "bf16"
