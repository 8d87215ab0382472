"""The exported generator: identical to the run's to the last bit; forged files are refused."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from builders import SMALL, small_config
from gan_exp.config.schema import Config
from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.runs.export import FORMAT, load_generator, read_metadata, safetensors_bytes
from gan_exp.training.build import build_state

CPU = torch.device("cpu")
IMAGES = DataSpec((3, 12, 8), num_classes=4)


def export(path: Path, config: Config, spec: DataSpec) -> nn.Module:
    """A generator with random weights and statistics, in eval mode."""
    generator = build_state(config, spec, CPU).generator_ema
    random = torch.Generator().manual_seed(1)
    for value in generator.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape, generator=random), alpha=0.05)
    metadata = {
        "format": FORMAT,
        "model": config.model.generator,
        "latent_dim": config.latent_dim,
        "image_shape": spec.image_shape,
        "num_classes": spec.num_classes if config.conditional else 0,
        "extent": spec.extent,
        "step": 7,
        "name": config.name,
        "version": "0.1.0",
    }
    path.write_bytes(safetensors_bytes(generator, metadata))  # the keys of the first files
    return generator.eval()


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("model", SMALL)
def test_it_comes_back_to_the_last_bit(model: str, conditional: bool, tmp_path: Path) -> None:
    points = model == "points"
    words = ["dataset=ring"] if points else []
    config = small_config(model, *words, f"conditional={str(conditional).lower()}")
    spec = DataSpec((2, 1, 1), 4, 1.5) if points else IMAGES
    path = tmp_path / "generator.safetensors"
    original = export(path, config, spec)
    loaded = load_generator(path)
    metadata = read_metadata(path)
    assert (metadata.latent_dim, metadata.step, metadata.extent) == (8, 7, 1.5 if points else None)
    assert metadata.class_names == [] and metadata.dataset == "" and metadata.dataset_license is None
    assert metadata.image_shape == list(spec.image_shape) and metadata.num_classes == (4 if conditional else 0)
    labels = [torch.tensor([0, 3, 1, 2, 3])] * conditional
    latents = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = original(latents, *labels)
        assert torch.equal(loaded(latents, *labels), wanted) and wanted.std() > 0
    assert not loaded.training and not any(value.requires_grad for value in loaded.parameters())


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "generator.safetensors"
    export(path, small_config("mlp"), IMAGES)
    return path


def test_a_damaged_file_is_refused(exported: Path) -> None:
    """Cut at any place, or with any header."""
    whole = exported.read_bytes()
    lengths = [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]
    spoilt = [whole[:length] for length in lengths]
    spoilt += [struct.pack("<Q", 1 << 62) + whole[8:], b"{}" + whole[2:], bytes(len(whole)), whole + b"more"]
    for data in spoilt:
        exported.write_bytes(data)
        with pytest.raises(
            UserError, match=r"generator\.safetensors: (can't be read as safetensors|is not a gen)"
        ) as caught:
            load_generator(exported)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.safetensors: can't be read"):
        load_generator(tmp_path / "nowhere.safetensors")


def forge(path: Path, tensors: dict[str, torch.Tensor] | None = None, **changes: Any) -> None:
    """Change the metadata (None takes a key away) or the tensors of an exported file."""
    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]
    for key, value in changes.items():
        metadata[key] = json.dumps(value)
        if value is None:
            del metadata[key]
    save_file(load_file(path) if tensors is None else tensors, path, metadata)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": None}, r"is not a generator of `gan-exp export` \(format"),
        ({"format": "gan-exp generator 2"}, r"is not a generator of `gan-exp export` \(format"),
        ({"model": None}, r"\(model"),
        ({"model": []}, r"\(model"),
        ({"model": {}}, "must be the dotted name of a class"),
        (
            {"model": {"_target_": "gan_exp.models.mlp.MLPGenerator", "depth": 3}},
            r"model\.generator\.depth: unknown key",
        ),
        ({"latent_dim": 0}, r"\(latent_dim"),
        ({"latent_dim": 10**6}, "the weights don't fit"),
        ({"latent_dim": 2**62}, "model.generator: "),
        ({"image_shape": [3, 8]}, r"\(image_shape"),
        ({"image_shape": [3, -8, 8]}, r"\(image_shape"),
        ({"image_shape": [3, 10**5, 10**5]}, "the weights don't fit"),
        ({"num_classes": 5}, "the weights don't fit"),
        ({"step": "7"}, r"\(step"),
        ({"model": {"_target_": "gan_exp.models.mlp.MLPGenerator", "widths": [10**9, 10**9]}}, "the weights don't fit"),
    ],
    ids=str,
)
def test_a_forged_file_is_refused(changes: dict[str, Any], sentence: str, exported: Path) -> None:
    """Before memory is allocated for the sizes that it claims."""
    forge(exported, **changes)
    with pytest.raises(UserError, match=sentence) as caught:
        load_generator(exported)
    assert str(exported) in str(caught.value) and "\n" not in str(caught.value)


def test_other_weights_are_refused(exported: Path) -> None:
    whole = load_file(exported)
    name = next(iter(whole))
    for tensors in (
        {},
        {key: value for key, value in whole.items() if key != name},
        {**whole, "more": torch.zeros(1)},
        {**whole, name: torch.zeros(3)},
    ):
        forge(exported, tensors)
        with pytest.raises(UserError, match="the weights don't fit the model that the file names"):
            load_generator(exported)


@pytest.mark.parametrize(
    "target", ["canary.Generator", "os.system", "gan_exp.models.mlp.torch.load", "gan_exp.losses.Hinge"]
)
def test_a_class_that_it_names_is_not_imported(
    target: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "canary.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forge(exported, model={"_target_": target})
    with pytest.raises(UserError, match=r"model\.generator\._target_="):
        load_generator(exported)
    assert not (tmp_path / "trace").exists()


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"is not a generator of `gan-exp export`"):
        load_generator(path)
