"""The model card says what is known about the generator, and no more; its lines of Python run."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import make_config
from gan_exp.comparison.records import RunRecord, read_runs
from gan_exp.config.catalog import groups
from gan_exp.data.packed import DataSpec
from gan_exp.diagnosis.verdicts import Verdict
from gan_exp.generators.export.about import describe
from gan_exp.generators.export.card import Exported, model_card, sample_grid
from gan_exp.generators.export.formats import FORMATS
from gan_exp.generators.export.use import lines_of_use
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.run_dir import RunDir
from gan_exp.training.build import build_generator
from written_runs import write_evaluation, write_run

NAMES = ("cat", "a|b `c`", "dog\n## and more")
WORDS = ("model.generator.widths=[8]", "steps=300", "latent_dim=4")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return write_run(tmp_path / "run", *WORDS, scores={200: {"fid_cnn": 3.0}}, config={"conditional": True})


def record_of(run: RunDir) -> RunRecord:
    return read_runs([run.path])[0]


def generator_of(record: RunRecord, *words: str, step: int = 300, names: tuple[str, ...] = NAMES) -> TrainedGenerator:
    config = make_config(*WORDS, "conditional=true", *words)
    spec = DataSpec((1, 8, 8), len(names))
    return TrainedGenerator(build_generator(config, spec).eval(), config, spec, names, step)


def card(run: RunDir, averaged: bool = True, step: int = 300, **changes: Any) -> str:
    record = dataclasses.replace(record_of(run), **changes)
    return card_of(generator_of(record, step=step), record, averaged)


def card_of(trained: TrainedGenerator, record: RunRecord, averaged: bool = True) -> str:
    about = describe(trained, record, averaged)
    return model_card(trained, record, about, Exported("onnx", "x.onnx", "x.onnx.png", "it runs"))


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_what_it_is(run: RunDir) -> None:
    text = card(run)
    assert text.startswith("# mlp-digits: the generator of a GAN\n")
    assert "`x.onnx` turns vectors of 4 random numbers into gray images of 8x8 pixels" in text
    assert "![samples](x.onnx.png)" in text and "after 300 training steps" in text
    assert "moving averages" in text and "moving averages" not in card(run, averaged=False)
    assert "After writing, the file was checked: it runs." in text


def test_names_of_classes_break_nothing(run: RunDir) -> None:
    text = card(run)
    assert "0: `cat`, 1: `a\\|b 'c'`, 2: `dog ## and more`" in section(text, "How to use it")
    assert "from the top: `cat`, `a|b 'c'`, `dog ## and more`." in text
    assert [line for line in text.splitlines() if line.startswith("## and")] == []


@pytest.mark.parametrize("dataset", groups()["dataset"])
def test_the_licence_of_each_data_set(dataset: str, run: RunDir) -> None:
    record = record_of(run)
    trained = generator_of(record)
    place = {"root": "x"} if dataset == "folder" else {}
    config = trained.config.model_copy(update={"dataset": {**read(groups()["dataset"][dataset]), **place}})
    trained = dataclasses.replace(trained, config=config)
    data = section(card_of(trained, record), "Data")
    wanted = {"mnist": "`CC BY-SA 3.0` (as Keras states it", "cifar10": "not stated.", "folder": "not stated."}
    assert (
        f"`{dataset}` (" in data
        and "your" not in data
        and f"Licence of the data set: {wanted.get(dataset, '')}" in data
    )


def read(path: Path) -> dict[str, Any]:
    from gan_exp.config.plain_yaml import read_yaml

    return dict(read_yaml(path.read_text()))


def test_nothing_was_measured(run: RunDir) -> None:
    measured = section(card(run), "Measured")
    assert measured.strip() == "Nothing: the run has no evaluation of this step; it has evaluations of the steps 200."


def test_what_was_measured_with_its_protocol(run: RunDir) -> None:
    write_evaluation(run, 300, {"fid_cnn": [2.0, 3.0], "precision_cnn": [0.5, 0.7]})
    measured = section(card(run), "Measured")
    assert (
        "gan-exp evaluate, features cnn abc: 10,000 samples, 2 seeds, against 1,797 images of digits (train)"
        in measured
    )
    assert "| `fid_cnn` | 2.5 ± 0.1 |  | lower |" in measured and "± is the standard deviation" in measured
    in_training = section(card(run, step=200), "Measured")
    assert "during training" in in_training and "| `fid_cnn` | 3 |" in in_training
    assert "are of its averaged generator, which this is not" in section(card(run, averaged=False), "Measured")


def test_limits(run: RunDir) -> None:
    trouble = Verdict("mode collapse", 100, "all alike", "The samples are nearly the same.", ("lr=1e-4",))
    limits = section(card(run, state="failed", step=300, kept_verdicts=(trouble,)), "Limits")
    assert "mode collapse since step 100 (all alike). The samples are nearly the same." in limits
    assert "The run did not end as planned: failed at step 300 of 300." in limits


def test_training(run: RunDir) -> None:
    command = ["model.generator.widths=[8]", "dataset.root=/home/me/x", "hydra.run.dir=/home/me"]
    text = card(run, environment={"command": command, "device": "CPU, 1 thread", "gan_exp": "0.0.1"})
    training = section(text, "Training")
    assert "gan-exp train 'model.generator.widths=[8]' dataset.root=...\n" in training and "/home" not in text
    assert "The run took 12.5 s on CPU, 1 thread." in training and "| `conditional` | `true` |" in training
    assert "| gan-exp | 0.0.1 |" in section(text, "Versions")
    assert "gan-exp train" not in section(card(run, environment={}), "Training")


@pytest.mark.parametrize(("name", "names"), [("onnx", NAMES), ("torch", ()), ("torch", NAMES), ("safetensors", NAMES)])
def test_its_lines_run(
    name: str, names: tuple[str, ...], run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"generator.{name}"
    if name == "onnx":
        for package in ("onnxscript", "onnxruntime"):
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    trained = generator_of(record_of(run), *([] if names else ["conditional=false"]), names=names)
    about = describe(trained, record_of(run), True)
    Path(file).write_bytes(FORMATS[name].content(trained, about))
    lines, found = lines_of_use(name, file, about), dict[str, Any]()
    assert "gan_exp" not in lines and len([line for line in lines.splitlines() if line]) <= 12
    monkeypatch.setitem(sys.modules, "gan_exp", None)
    exec(compile(lines, file, "exec"), found)
    assert found["about"]["latent_dim"] == 4 and list(names) == found["about"]["class_names"]
    if name == "safetensors":
        assert found["weights"].keys() == trained.network.state_dict().keys()
        return
    from PIL import Image

    with Image.open("samples.png") as picture:
        assert picture.size == (5 * 8, 8) and picture.mode == "L"


def test_lines_for_points_and_for_other_channels() -> None:
    about = {"num_classes": 0, "latent_dim": 2, "image_shape": [2, 1, 1], "range": None}
    assert "PIL" not in lines_of_use("onnx", "x.onnx", about) and "PIL" not in lines_of_use("torch", "x.pt2", about)
    assert "PIL" not in lines_of_use("onnx", "x.onnx", {**about, "image_shape": [6, 8, 8], "range": [-1, 1]})


def test_samples(run: RunDir) -> None:
    import io

    from PIL import Image

    record = record_of(run)
    with Image.open(io.BytesIO(sample_grid(generator_of(record)))) as picture:
        assert picture.width > picture.height  # 8 columns, a row for each of 3 classes
    config = make_config("model=points", "dataset=ring", "model.generator.widths=[8]", "latent_dim=4")
    spec = DataSpec((2, 1, 1), 0, 1.5)
    torch.manual_seed(0)
    points = TrainedGenerator(build_generator(config, spec).eval(), config, spec, (), 7)
    with Image.open(io.BytesIO(sample_grid(points))) as picture:
        assert picture.size == (320, 320)
    text = card_of(points, record)
    assert "points of the plane" in text and "5,000 samples" in text and "`none needed` (the points are" in text
