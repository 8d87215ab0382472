from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_exp.cli import main
from gan_exp.commands import directions
from gan_exp.data.packed import to_uint8
from gan_exp.generators.directions import principal_directions
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.run_dir import RunDir
from untrained_generators import untrained, use


def test_a_row_for_each_direction_with_the_sample_in_the_middle(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--count", "3", "--frames", "5", "--reach", "2", "--index", "6"]
    assert main(["directions", "run", *words]) == 0
    said = capsys.readouterr().out
    assert "3 directions in directions.png: " in said and "% of the effect of all 100; strengths " in said
    with Image.open("directions.png") as strip:
        pixels = np.asarray(strip)[::8, ::8]
    assert pixels.shape == (3 * 9 - 1, 5 * 9 - 1)
    generator = TrainedGenerator.from_run(RunDir(run))
    found, _ = principal_directions(generator, 3)
    latent = generator.latents(0, [6])
    for row in range(3):
        np.testing.assert_array_equal(pixels[9 * row : 9 * row + 8, 18:26], to_uint8(generator.images(latent))[0, 0])
        moved = to_uint8(generator.images(latent + 2 * found[row]))[0, 0].numpy()
        np.testing.assert_array_equal(pixels[9 * row : 9 * row + 8, 36:44], moved)


def test_as_arrays(run: Path) -> None:
    assert main(["directions", "run", "--count", "2", "--seed", "3", "--output", "some.npz"]) == 0
    wanted, strengths = principal_directions(TrainedGenerator.from_run(RunDir(run)), 2, seed=3)
    with np.load("some.npz") as arrays:
        np.testing.assert_array_equal(arrays["directions"], wanted.numpy())
        np.testing.assert_array_equal(arrays["strengths"], strengths.numpy())


@pytest.mark.parametrize(("channels", "conditional"), [(1, False), (3, True), (4, False)])
@pytest.mark.parametrize("output", ["strip.png", "film.gif"])
def test_all_channels_and_classes(
    output: str, channels: int, conditional: bool, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(untrained(channels=channels, conditional=conditional), directions, monkeypatch)
    words = ["--class", "bee"] if conditional else []
    assert main(["directions", "any", "--count", "2", "--frames", "3", *words, "--output", output]) == 0
    with Image.open(output) as picture:
        assert getattr(picture, "n_frames", 1) == (1 if output == "strip.png" else 3)


def test_points_move_all_together(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained("points")
    use(generator, directions, monkeypatch)
    assert main(["directions", "any", "--count", "2", "--frames", "3"]) == 0
    with Image.open("directions.png") as strip:
        assert strip.size == (3 * 129 - 1, 2 * 129 - 1)
    found, strengths = principal_directions(generator, 2)
    assert strengths.min() > 0 and torch.allclose(found @ found.T, torch.eye(2), atol=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--count", "101"], "--count 101: the latents have 100 dimensions, and no more"),
        (["--reach", "-1"], "--reach -1: must be a number above 0"),
        (["--class", "two"], "--class two: the run is not conditional"),
        (["--output", "some.npy"], "--output some.npy: must end in .png, .gif, .webp, .mp4 or .npz"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directions", "run", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["run"]
