from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_exp.cli import main
from gan_exp.commands import evolution
from gan_exp.commands.evolution import evenly
from gan_exp.data.packed import to_uint8
from gan_exp.display.images import filled_grid
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.run_dir import RunDir
from untrained_generators import untrained, use


def test_some_of_many_are_evenly_chosen_and_the_last_one_always() -> None:
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(list(range(11)), 3) == [0, 5, 10]
    assert evenly(list(range(11)), 1) == [10]
    assert len(set(evenly(list(range(1000)), 120))) == 120


def test_the_same_latents_at_every_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolution", "run", "--count", "4", "--fps", "2", "--output", "film.webp"]) == 0
    assert capsys.readouterr().out.endswith(
        "2 checkpoints, steps 2 to 4, in film.webp; --grids shows the 3 grids that were written in training\n"
    )
    with Image.open("film.webp") as film:
        assert film.n_frames == 2
        for number, step in enumerate(("2", "4")):
            film.seek(number)
            generator = TrainedGenerator.from_run(RunDir(run), step)
            wanted = filled_grid(to_uint8(generator.images(generator.latents(0, range(4)))))[0].numpy()
            found = np.asarray(film.convert("L"))
            np.testing.assert_array_equal(found[: len(wanted)], wanted)
            assert len(wanted) < len(found) and found[len(wanted) :].max() > 128  # the step is written below


def test_a_strip_has_a_column_for_each_checkpoint(run: Path) -> None:
    assert main(["evolution", "run", "--indices", "3,5", "--output", "strip.png"]) == 0
    with Image.open("strip.png") as strip:
        pixels = np.asarray(strip)
    generator = TrainedGenerator.from_run(RunDir(run))
    wanted = filled_grid(to_uint8(generator.images(generator.latents(0, [3, 5]))), 1, 64)[0].numpy()
    height, width = wanted.shape
    assert pixels.shape[1] == 2 * width + 4
    np.testing.assert_array_equal(pixels[:height, -width:], wanted)


def test_the_grids_that_training_wrote(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolution", "run", "--grids"]) == 0
    assert capsys.readouterr().out.endswith("3 grids, steps 0 to 4, in evolution.gif\n")
    with Image.open("evolution.gif") as film, Image.open(RunDir(run).sample_grid(0)) as grid:
        assert film.n_frames == 3
        np.testing.assert_array_equal(np.asarray(film.convert("L"))[: grid.height], np.asarray(grid))
    assert main(["evolution", "run", "--grids", "--frames", "2", "--output", "strip.png"]) == 0
    assert "2 of 3 grids, steps 0 to 4" in capsys.readouterr().out


def test_a_damaged_checkpoint_is_passed_over(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDir(run).checkpoint(2).write_bytes(b"broken")
    assert main(["evolution", "run"]) == 0
    said = capsys.readouterr().out
    assert "skipped: " in said and "step-00000002.pt: the checkpoint is damaged" in said
    assert "1 of 2 checkpoints, steps 4 to 4" in said
    RunDir(run).checkpoint(4).write_bytes(b"broken")
    assert main(["evolution", "run", "--force"]) == 2
    assert "step-00000002.pt: the checkpoint is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["strip.png", "film.gif"])
def test_points(output: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(untrained("points"), evolution, monkeypatch)
    assert main(["evolution", "run", "--output", output]) == 0
    with Image.open(output) as picture:
        assert picture.width == (2 * 320 + 4 if output == "strip.png" else 320)


def test_a_run_without_checkpoints_or_grids(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in [*(run / "checkpoints").iterdir(), *(run / "samples").iterdir()]:
        path.unlink()
    for words, what in (([], "checkpoints"), (["--grids"], "grids of samples")):
        assert main(["evolution", "run", *words]) == 2
        assert f"holds no {what} yet; train it first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--class", "1"], "--class 1: the run is not conditional"),
        (["--output", "run/config.yaml"], "--output run/config.yaml: must end in"),
        (["--checkpoint", "2"], "--checkpoint: unknown option"),
        (["--grids"], "step-00000002.png: can't be read as a picture"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDir(run).sample_grid(2).write_bytes(b"broken")
    assert main(["evolution", "run", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["run"]
