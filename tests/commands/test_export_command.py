"""`gan-exp export`: the averaged generator in a file, or one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan_exp.cli import main
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.export import load_generator, read_metadata
from gan_exp.runs.run_dir import RunDir


def test_the_average_is_what_is_exported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run"]) == 0
    assert capsys.readouterr().out == "the generator of step 4 in generator.safetensors\n"
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
        (["run", "--output", "full.safetensors"], "--output full.safetensors: can't be written ("),
        (["run", "--checkpoint", "nowhere.pt"], "--checkpoint nowhere.pt: no such checkpoint; "),
        (["run", "--outptu", "x"], "--outptu: unknown option; did you mean --output?"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("full.safetensors").mkdir()
    assert main(["export", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not list(Path().glob(".*.partial"))
