"""A run's configuration is composed once, though Hydra would compose it twice; what comes of it is the same."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from builders import refused
from gan_exp.cli import main
from gan_exp.config.compose import compose
from gan_exp.config.hydra_guard import ConfigLoaderImpl, GuardedLoader, RunMode
from gan_exp.errors import UserError


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of each composition."""
    found: list[list[str]] = []
    implementation = ConfigLoaderImpl._load_configuration_impl

    def noted(self: Any, config_name: Any, overrides: list[str], *rest: Any, **named: Any) -> Any:
        found.append(overrides)
        return implementation(self, config_name, overrides, *rest, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", noted)
    return found


def test_a_run_is_composed_once(in_tmp: Path, tiny: list[str], composed: list[list[str]]) -> None:
    assert main(["train", *tiny, "hydra.run.dir=run"]) == 0
    assert len(composed) == 1 and Path("run/config.yaml").exists()


def test_so_is_one_that_is_refused(in_tmp: Path, composed: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert "model=nothing" in refused(["train", "model=nothing"], capsys)
    assert len(composed) == 1


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("model/mine", "- 1\n", "model/mine: has a list in the place of the keys of model; write each as key: value"),
        (
            "experiment/mine",
            "# @package _global_\nmodel: [1]\n",
            "experiment/mine: has a list in the place of the keys",
        ),
        ("experiment/mine", "# @package _global_\nmodel:\n  generator: [1]\n", "has a list in the place of a group"),
    ],
)
def test_a_file_with_a_list_in_the_place_of_keys(file: str, content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / f"{file}.yaml"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        compose([file.replace("/", "=")], [tmp_path])
    assert sentence in str(caught.value)


def test_it_is_what_hydra_would_compose(monkeypatch: pytest.MonkeyPatch, in_tmp: Path, tiny: list[str]) -> None:
    """Also its node hydra."""
    pairs = []
    load = GuardedLoader.load_configuration

    def both(self: GuardedLoader, config_name: str, overrides: list[str], **named: Any) -> Any:
        ahead = self.ahead
        found = load(self, config_name, overrides, **named)
        if ahead is not None:
            again = load(self, config_name, overrides, **named)
            pairs.append([OmegaConf.to_container(one, resolve=False) for one in (found, again)])
        return found

    monkeypatch.setattr(GuardedLoader, "load_configuration", both)
    assert main(["train", *tiny, "hydra.run.dir=run"]) == 0
    ((once, twice),) = pairs
    assert once == twice and once["hydra"]["mode"] == RunMode.RUN


def test_a_mode_that_is_set_is_heeded(in_tmp: Path, tiny: list[str], composed: list[list[str]]) -> None:
    assert main(["train", *tiny, "hydra.mode=MULTIRUN", "seed=1,2", "hydra.sweep.dir=sweep"]) == 0
    assert len(list(Path("sweep").glob("*/config.yaml"))) == 2


def test_a_sweep_is_composed_once_and_then_each_run(in_tmp: Path, tiny: list[str], composed: list[list[str]]) -> None:
    assert main(["train", "-m", *tiny, "seed=1,2", "hydra.sweep.dir=sweep"]) == 0
    assert len(list(Path("sweep").glob("*/config.yaml"))) == 2
    assert len(composed) == 3


def test_files_of_the_package_are_read_once_and_the_users_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made of one reading doesn't reach the next."""
    (tmp_path / "experiment").mkdir()
    own = tmp_path / "experiment/own.yaml"
    own.write_text("# @package _global_\nsteps: 7\n")
    first = compose(["experiment=own", "model.generator.widths=[3]"], [tmp_path]).plain
    own.write_text("# @package _global_\nsteps: 8\n")
    opened: list[str] = []
    load = OmegaConf.load
    monkeypatch.setattr(OmegaConf, "load", lambda file: opened.append(file.name) or load(file))
    second = compose(["experiment=own"], [tmp_path]).plain
    assert opened == [str(own)]
    assert (first["steps"], second["steps"]) == (7, 8)
    assert first["model"]["generator"]["widths"] == [3] != second["model"]["generator"]["widths"]
