import shutil
from pathlib import Path

import pytest

from gan_exp.config import catalog
from gan_exp.config.plain_yaml import read_yaml


def test_configuration_is_found_in_a_wheel_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = catalog.conf_dir()
    assert (shipped / "config.yaml").is_file()
    package = tmp_path / "src" / "gan_exp"
    package.mkdir(parents=True)
    monkeypatch.setattr(catalog, "PACKAGE", package)
    shutil.copytree(shipped, tmp_path / "conf")
    assert catalog.conf_dir() == tmp_path / "conf"
    shutil.copytree(shipped, package / "conf")
    assert catalog.conf_dir() == package / "conf"


def test_groups_and_their_defaults() -> None:
    groups, defaults = catalog.groups(), catalog.defaults()
    expected = "dataset model loss penalty augment optimizer schedule device experiment"
    assert set(groups) == set(defaults) == set(expected.split())
    toys = ["grid", "ring", "stacked_mnist"]
    photographs = ["celeba", "cifar10", "folder", "svhn"]
    gray = ["digits", "emnist", "fashion_mnist", "kmnist", "mnist"]
    assert list(groups["dataset"]) == sorted(toys + photographs + gray)
    assert list(groups["augment"]) == ["ada", "diffaugment", "none", "pipeline"] and defaults["augment"] == "none"
    assert defaults["dataset"] == "digits"  # which needs no download
    assert defaults["experiment"] is None
    assert all(option in groups[group] for group, option in defaults.items() if option is not None)


def test_yaml_of_ones_own_joins(tmp_path: Path) -> None:
    for name in ("model/own", "model/mlp", "gloss/flip"):
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("# mine\n")
    groups = catalog.groups([tmp_path])
    assert list(groups["model"]) == ["dcgan", "fastgan", "mlp", "points", "r3gan", "resnet", "own"]
    assert groups["model"]["mlp"] == tmp_path / "model/mlp.yaml"  # Hydra looks there first too
    assert list(groups["gloss"]) == ["flip"]


def test_describe(tmp_path: Path) -> None:
    path = tmp_path / "option.yaml"
    path.write_text("# @package _global_\n# what it is\nlr: 1  # why\n")
    assert catalog.describe(path) == "what it is"
    path.write_text("lr: 1\n")
    assert catalog.describe(path) == ""


def test_root_keys() -> None:
    keys = {key: (default, comment) for key, default, comment in catalog.root_keys()}
    assert keys["latent_dim"][0] == "100"
    assert keys["steps"][1].startswith("generator updates")
    assert "defaults" not in keys
    assert "hydra" not in keys


def test_known_keys_follow_the_chosen_options() -> None:
    assert "model.generator.widths" in catalog.known_keys()
    dcgan = catalog.known_keys(["model=dcgan", "lr=1", "noise"])
    assert "model.generator.width" in dcgan
    assert "model.generator.widths" not in dcgan
    assert {"lr", "model", "device.threads", "optimizer.generator.betas"} <= set(dcgan)


@pytest.mark.parametrize("content", [b"[", b"\xff", b"just words", b"5", b"!!python/name:os.system"])
def test_files_that_cannot_be_read_have_no_keys(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/odd.yaml").write_bytes(content)
    assert not [key for key in catalog.known_keys(["model=odd"], [tmp_path]) if key.startswith("model.")]
    assert catalog.describe(tmp_path / "model/odd.yaml") == ""


@pytest.mark.parametrize("page", ["README.md", "docs/zoo.md"])
def test_the_pages_list_each_option(page: str) -> None:
    """Of each group that has a row there; of the recipes the README names a few."""
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    options = catalog.groups()
    shown = (rows.keys() & options.keys()) - {"experiment"}
    assert {"model", "loss", "penalty", "augment", "dataset", "schedule"} <= shown
    missing = [f"{group}={option}" for group in shown for option in options[group] if f"`{option}`" not in rows[group]]
    assert missing == []


def test_each_data_set_says_its_licence() -> None:
    stated = {option: catalog.license_of(read_yaml(path.read_text())) for option, path in datasets().items()}
    assert all("license" in read_yaml(path.read_text()) for path in datasets().values())
    assert stated["mnist"] == stated["stacked_mnist"] == "CC BY-SA 3.0" and stated["digits"] == "CC BY 4.0"
    assert stated["cifar10"] is None and stated["folder"] is None  # not stated


def test_a_run_from_before_the_key_has_the_licence_of_its_data_set() -> None:
    old = {"_target_": "gan_exp.data.torchvision_sets.fashion_mnist", "name": "fashion_mnist", "root": "x"}
    assert catalog.license_of(old) == "MIT" and catalog.license_of({**old, "license": "mine"}) == "mine"
    assert catalog.license_of({**old, "license": None}) is None
    assert catalog.license_of({"_target_": "own.fashion_mnist", "name": "fashion_mnist"}) is None


def datasets() -> dict[str, Path]:
    return catalog.groups()["dataset"]
