"""Each format computes the run's images, for any number of them, and says what it is."""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import gan_exp
from builders import SMALL, small_config
from gan_exp.comparison.records import RunRecord
from gan_exp.config.overrides import leaves
from gan_exp.config.targets import TRUST_VARIABLE
from gan_exp.data.packed import DataSpec
from gan_exp.errors import UserError
from gan_exp.generators.export import formats, onnx_file
from gan_exp.generators.export.about import describe
from gan_exp.generators.export.formats import FORMATS, check_file
from gan_exp.generators.export.program import plain_copy
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.export import load_generator, read_metadata
from gan_exp.training.build import build_generator

NAMES = ("left", "right", "a|b `c`")


def small_generator(model: str, conditional: bool = False, *words: str) -> TrainedGenerator:
    """With random weights and statistics; R3GAN's images go beyond [-1, 1]."""
    points = model == "points"
    words = (*words, *(["dataset=ring"] if points else []), f"conditional={conditional}")
    config = small_config(model, *words)
    spec = DataSpec((2, 1, 1), 3, 1.5) if points else DataSpec((3, 8, 8), 3)
    random = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_generator(config, spec).eval().requires_grad_(False)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand(value.shape, generator=random).sub_(0.45), alpha=0.2)
    return TrainedGenerator(network, config, spec, NAMES if conditional else (), 7)


def record_of(trained: TrainedGenerator) -> RunRecord:
    environment = {"gan_exp": "0.0.1", "packages": {"torch": "2.10"}, "command": ["lr=1", "dataset.root=/home/me"]}
    configuration = leaves(trained.config.model_dump())
    return RunRecord(Path("run"), "run", "finished", 7, 7, configuration, {}, environment=environment, kept_verdicts=())


def about(trained: TrainedGenerator) -> dict[str, Any]:
    return describe(trained, record_of(trained), averaged=True)


def write(name: str, trained: TrainedGenerator, path: Path) -> Path:
    path.write_bytes(FORMATS[name].content(trained, about(trained)))
    return path


@pytest.fixture(autouse=True)
def needs_onnx() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


Exported = Callable[..., tuple[TrainedGenerator, dict[str, Path]]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A generator and its files by format, made once for all tests, since the exporters take most of their time."""
    place = tmp_path_factory.mktemp("exported")

    @cache
    def make(model: str, conditional: bool) -> tuple[TrainedGenerator, dict[str, Path]]:
        trained = small_generator(model, conditional)
        return trained, {name: write(name, trained, place / f"{model}-{conditional}.{name}") for name in FORMATS}

    return make


ONCE = [(model, number % 2 == 0) for number, model in enumerate(SMALL)]


@pytest.mark.parametrize(("model", "conditional"), [*ONCE, pytest.param("dcgan", True, marks=pytest.mark.slow)])
def test_every_model_in_every_format(model: str, conditional: bool, exported: Exported) -> None:
    trained, files = exported(model, conditional)
    latents, labels = trained.latents(3, range(4)), trained.labels(range(4))
    wanted = trained.images(latents, labels)
    assert wanted.std() > 0.02 and (model == "points" or wanted.abs().max() <= 1)
    for name, path in files.items():
        assert check_file(name, path, trained).startswith("images that ")
        images = FORMATS[name].opened(path)
        assert images is not None
        torch.testing.assert_close(images(latents, labels), wanted, rtol=0, atol=1e-5)
        assert not list(path.parent.glob(f"{path.name}?*"))  # the weights are inside


def test_what_a_file_says(exported: Exported) -> None:
    import onnx

    trained, files = exported("mlp", True)
    model = onnx.load(str(files["onnx"]))
    of_onnx = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    more = {"metadata.json": ""}
    with files["torch"].open("rb") as file:
        torch.export.load(file, extra_files=more)
    of_safetensors = read_metadata(files["safetensors"])
    assert of_onnx == json.loads(more["metadata.json"]) == about(trained)
    assert of_onnx["input"] == "latents [N, 8] float32, from N(0, 1); labels [N] int64, from 0 to 2"
    assert of_onnx["output"] == "images [N, 3, 8, 8] float32" and of_onnx["range"] == [-1, 1]
    assert of_onnx["dataset"] == "digits" and of_onnx["dataset_license"] == "CC BY 4.0"
    assert of_onnx["class_names"] == list(NAMES) == of_safetensors.class_names and of_safetensors.averaged
    assert of_onnx["command"] == "gan-exp train lr=1 dataset.root=..."  # no path of this machine
    assert of_onnx["versions"]["trained"] == {"gan-exp": "0.0.1", "torch": "2.10"}
    assert of_safetensors.dataset_license == "CC BY 4.0" and of_safetensors.step == 7


def test_the_graph_of_an_onnx_file(exported: Exported) -> None:
    import onnx

    model = onnx.load(str(exported("mlp", True)[1]["onnx"]))
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", onnx_file.OPSET)]
    inputs = {one.name: one.type.tensor_type for one in model.graph.input}
    assert [dim.dim_param or dim.dim_value for dim in inputs["latents"].shape.dim] == ["N", 8]
    assert [dim.dim_param for dim in inputs["labels"].shape.dim] == ["N"]
    assert inputs["labels"].elem_type == onnx.TensorProto.INT64
    output = model.graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in output.dim] == ["N", 3, 8, 8]


def test_no_path_of_this_machine(exported: Exported) -> None:
    for path in exported("dcgan", False)[1].values():
        content = path.read_bytes()
        assert str(Path(gan_exp.__file__).parent).encode() not in content and b"site-packages" not in content


OWN = """
import math
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Generator(nn.Module):
    def __init__(self, latent_dim, image_shape, num_classes=0, sides=(4, 4)):
        super().__init__()
        self.image_shape = image_shape
        self.embed = spectral_norm(nn.Embedding(num_classes, 4)) if num_classes else None
        self.start = weight_norm(nn.Linear(latent_dim + (4 if num_classes else 0), 6 * 16))
        self.layers = nn.Sequential(
            nn.BatchNorm2d(6), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Dropout2d(0.5),
            spectral_norm(nn.Conv2d(6, image_shape[0], 3, padding=1)), nn.Tanh(),
        )

    def forward(self, latents, labels=None):
        import torch
        if self.embed is not None:
            latents = torch.cat([latents, self.embed(labels)], dim=1)
        return self.layers(self.start(latents).view(-1, 6, 4, 4))


class Undecided(Generator):
    def forward(self, latents, labels=None):
        images = super().forward(latents, labels)
        return images if latents.sum().item() > 0 else -images
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own, trusted."""
    (tmp_path / "own_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(TRUST_VARIABLE, "own_nets")
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)


def own_generator(name: str, conditional: bool) -> TrainedGenerator:
    trained = small_generator("mlp", conditional)
    config = trained.config.model_copy(
        update={
            "model": trained.config.model.model_copy(update={"generator": {"_target_": f"own_nets.{name}"}}),
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_generator(config, trained.spec)
        for _ in range(3):  # moves the statistics, and the vectors of spectral norm
            network(torch.randn(8, 8), trained.labels(range(8)))
    return TrainedGenerator(network.eval().requires_grad_(False), config, trained.spec, trained.class_names, 7)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_class_from_outside(conditional: bool, own: None, tmp_path: Path) -> None:
    """With BatchNorm, dropout, spectral norm and weight norm, channels last."""
    trained = own_generator("Generator", conditional)
    before = {key: value.clone() for key, value in trained.network.state_dict().items()}
    for name in FORMATS if conditional else ("safetensors", "torch"):  # the exporter of ONNX takes a second
        path = write(name, trained, tmp_path / f"x.{name}")
        assert check_file(name, path, trained).startswith("images that ")
        assert name == "safetensors" or b"parametriz" not in path.read_bytes()
    assert all(torch.equal(value, before[key]) for key, value in trained.network.state_dict().items())
    assert "layers.4.parametrizations.weight.original" in before  # the run's own network keeps its norms
    assert load_generator(tmp_path / "x.safetensors") is not None


def test_a_class_that_cannot_be_followed(own: None) -> None:
    trained = own_generator("Undecided", False)
    for name in ("onnx", "torch"):
        with pytest.raises(UserError, match=r"own_nets\.Undecided: torch\.export can't follow it \(") as caught:
            FORMATS[name].content(trained, about(trained))
        assert "\n" not in str(caught.value) and "--format safetensors" in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_with_other_images_is_refused(name: str, exported: Exported) -> None:
    other = small_generator("mlp", True)
    other.network.layers[0].bias.add_(1e-3)
    with pytest.raises(UserError, match=rf"--format {name}: not written, .* differ from the run's by up to 0\.00\d"):
        check_file(name, exported("mlp", True)[1][name], other)


def test_values_that_are_no_numbers_are_a_difference() -> None:
    def broken(latents: Tensor, labels: Tensor | None) -> Tensor:
        return torch.full((len(latents), 3, 8, 8), float("nan"))

    assert formats.largest_difference(small_generator("mlp"), broken) == float("inf")


def test_a_file_of_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 100)
    trained = small_generator("mlp")
    with pytest.raises(UserError, match="one ONNX file holds less than 2; use --format torch or safetensors"):
        FORMATS["onnx"].content(trained, about(trained))


def test_without_the_packages(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, files = exported("mlp", True)
    path = files["onnx"]
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxruntime" else name)
    assert check_file("onnx", path, trained) == (
        "onnx's checker finds no fault; it was not run, since onnxruntime is not installed"
    )
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UserError, match=r"needs onnxscript; install with: pip install 'gan-exp\[onnx\]'"):
        FORMATS["onnx"].content(trained, about(trained))


def test_norms_are_folded() -> None:
    network = nn.Sequential(spectral_norm(nn.Linear(3, 3))).eval()
    plain = plain_copy(network)
    given = torch.randn(2, 3)
    assert set(plain.state_dict()) == {"0.weight", "0.bias"}
    torch.testing.assert_close(plain(given), network(given))
