"""`gan-exp export`: the averaged generator in a file, or one sentence."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from builders import refused
from gan_exp.cli import main
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.export import load_generator, read_metadata
from gan_exp.runs.run_dir import RunDir

PAGE = Path(__file__).parents[2] / "docs" / "using-a-model.md"


def test_the_average_is_what_is_exported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run"]) == 0
    assert capsys.readouterr().out == (
        "the generator of step 4 in generator.safetensors\n"
        "checked: images that gan-exp makes with it equal the run's\n"
        "its model card in generator.safetensors.md, with samples in generator.safetensors.png\n"
    )
    content = load_checkpoint(RunDir(run).checkpoint(4))
    weights = load_file("generator.safetensors")
    assert weights.keys() == content["generator_ema"].keys()
    assert all(torch.equal(value, content["generator_ema"][key]) for key, value in weights.items())
    assert any((value != content["generator"][key]).any() for key, value in weights.items())


def test_without_an_average(in_tmp: Path, tiny: list[str]) -> None:
    assert main(["train", *tiny, "ema_halflife_kimg=0", "hydra.run.dir=run"]) == 0
    assert main(["export", "run", "--output", "made/on/the/way.safetensors"]) == 0
    weights = load_file("made/on/the/way.safetensors")
    content = load_checkpoint(RunDir("run").checkpoint(3))
    assert all(torch.equal(value, content["generator"][key]) for key, value in weights.items())


def test_it_needs_neither_run_nor_data(run: Path) -> None:
    """The same images as `sample` makes of the run."""
    import numpy as np

    from gan_exp.data.packed import to_uint8
    from gan_exp.runtime.randomness import Streams

    assert main(["sample", "run", "--count", "3", "--output", "some.npy"]) == 0
    assert main(["export", "run"]) == 0
    (run / "config.yaml").unlink()
    latents = Streams(0).latents(0, "sample", 256, read_metadata("generator.safetensors").latent_dim)[:3]
    images = to_uint8(load_generator("generator.safetensors")(latents))
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), np.load("some.npy"))


def test_another_checkpoint(run: Path) -> None:
    assert main(["export", "run", "--checkpoint", str(RunDir(run).checkpoint(2))]) == 0
    assert read_metadata("generator.safetensors").step == 2


def test_a_damaged_newest_one_is_passed_over(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDir(run).checkpoint(4).write_bytes(b"damaged")
    assert main(["export", "run"]) == 0
    assert "skipped: " in capsys.readouterr().out
    assert read_metadata("generator.safetensors").step == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: is not the directory of a run"),
        (["run", "--output", "generator.pt"], "--output generator.pt: must end in .safetensors"),
        (
            ["run", "--output", "run/config.yaml/x.safetensors"],
            "--output run/config.yaml/x.safetensors: can't be written (",
        ),
        (["run", "--output", "full.safetensors", "--force"], "--output full.safetensors: can't be written ("),
        (["run", "--output", "full.safetensors"], "--output full.safetensors: exists; name another file, or overwrite"),
        (["run", "--output", "there.pt2"], "--output there.pt2.md: exists; name another file, or overwrite"),
        (["run", "--format", "pickle"], "--format pickle: must be safetensors, onnx or torch"),
        (
            ["run", "--format", "onnx", "--output", "x.pt2"],
            "--output x.pt2: is a file of --format torch; one of --format onnx ends in .onnx",
        ),
        (["run", "--checkpoint", "nowhere.pt"], "--checkpoint nowhere.pt: no such checkpoint; "),
        (["run", "--outptu", "x"], "--outptu: unknown option; did you mean --output?"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("full.safetensors").mkdir()
    Path("there.pt2.md").write_text("mine")
    assert main(["export", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not list(Path().glob(".*.partial")) and Path("there.pt2.md").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["full.safetensors", "run", "there.pt2.md"]


def test_nothing_is_overwritten_without_force(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run", "--no-card"]) == 0
    assert "model card" not in capsys.readouterr().out and not list(Path().glob("*.md"))
    Path("generator.safetensors").write_text("mine")
    assert "--output generator.safetensors: exists" in refused(["export", "run"], capsys)
    assert Path("generator.safetensors").read_text() == "mine"
    assert main(["export", "run", "--force"]) == 0
    assert read_metadata("generator.safetensors").step == 4


def test_another_licence(run: Path) -> None:
    assert main(["export", "run"]) == 0
    assert read_metadata("generator.safetensors").dataset_license == "CC BY 4.0"
    assert main(["export", "run", "--force", "--license", "of my own"]) == 0
    assert read_metadata("generator.safetensors").dataset_license == "of my own"
    assert "Licence of the data set: `of my own`. " in Path("generator.safetensors.md").read_text()


def test_the_format_follows_from_the_ending_and_the_ending_from_the_format(run: Path) -> None:
    assert main(["export", "run", "--output", "x.PT2"]) == 0
    assert main(["export", "run", "--format", "torch", "--no-card"]) == 0
    for path in ("x.PT2", "generator.pt2"):
        with Path(path).open("rb") as file:
            module = torch.export.load(file).module()
        assert module(torch.randn(3, 100)).shape == (3, 1, 8, 8)


def test_the_generator_in_training(run: Path) -> None:
    assert main(["export", "run", "--no-average"]) == 0
    content = load_checkpoint(RunDir(run).checkpoint(4))
    weights = load_file("generator.safetensors")
    assert all(torch.equal(value, content["generator"][key]) for key, value in weights.items())
    assert read_metadata("generator.safetensors").averaged is False
    assert "not an average" in Path("generator.safetensors.md").read_text()


LINES = """
import sys
sys.modules["gan_exp"] = None  # an import of it fails
{lines}
np.save("images.npy", session.run(["images"], {{"latents": np.load("latents.npy")}})[0])
"""


def test_the_lines_of_the_docs_without_this_project(run: Path) -> None:
    """They run, and ONNX Runtime makes the images of `sample` of the same latents."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import numpy as np

    from gan_exp.evaluation.sampling import sample_latents

    section = PAGE.read_text().partition("## Export\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3 and all("gan_exp" not in block for block in blocks)
    for name in ("onnx", "torch", "safetensors"):
        assert main(["export", "run", "--format", name, "--no-card"]) == 0
    np.save("latents.npy", sample_latents(0, range(3), 100).numpy())
    subprocess.run([sys.executable, "-c", LINES.format(lines="\n".join(blocks))], check=True)
    assert Path("onnx.png").stat().st_size > 100 and Path("torch.png").stat().st_size > 100
    assert main(["sample", "run", "--count", "3", "--output", "some.npy"]) == 0
    pixels = np.rint((np.load("images.npy") + 1) * 127.5).transpose(0, 2, 3, 1)
    assert np.abs(pixels - np.load("some.npy")).max() <= 1  # a value on the border between two


def test_ctrl_c_leaves_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_exp.generators.export import formats

    write = formats.safetensors_bytes

    def interrupted(*given: Any) -> bytes:
        signal.raise_signal(signal.SIGINT)
        return write(*given)

    monkeypatch.setattr(formats, "safetensors_bytes", interrupted)
    assert main(["export", "run"]) == 130
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_a_file_that_fails_its_check_is_not_written(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gan_exp.generators.export import formats

    Path("generator.safetensors").write_text("before")
    monkeypatch.setattr(formats, "TOLERANCE", -1.0)
    assert "--format safetensors: not written, since images" in refused(["export", "run", "--force"], capsys)
    assert Path("generator.safetensors").read_text() == "before"
    assert sorted(path.name for path in Path().iterdir()) == ["generator.safetensors", "run"]
