from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_exp.cli import main
from gan_exp.commands import nearest
from gan_exp.data.digits import digits
from gan_exp.data.packed import to_uint8
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.run_dir import RunDir
from untrained_generators import untrained, use


def test_samples_stand_beside_their_nearest_training_images(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--indices", "4,1", "--neighbours", "3", "--features", "pixels"]
    assert main(["nearest", "run", *words]) == 0
    said = capsys.readouterr().out
    begun, head, first, _, relative, median, place = said.splitlines()
    assert begun == "comparing 2 samples of run with the images that it was trained on"
    assert head.split("  ")[0] == "sample" and "training images as near" in head and "its class" in head
    assert relative.startswith("relative: ") and place.endswith("nearest training images on the right, in nearest.png")
    assert "of 2 samples" in median and "of 1,000 training images, each to the others" in median
    with Image.open("nearest.png") as picture:
        pixels = np.asarray(picture)[::8]
    generator, images = TrainedGenerator.from_run(RunDir(run)), digits().images
    for row, index in enumerate((4, 1)):
        sample = to_uint8(generator.images(generator.latents(0, [index])))[0, 0].numpy()
        np.testing.assert_array_equal(pixels[9 * row : 9 * row + 8, 0:64:8], sample)
    distances = np.linalg.norm(
        (images[:, 0].numpy() - pixels[:8, 0:64:8].astype(float)).reshape(len(images), -1), axis=1
    )
    closest = int(distances.argmin())
    np.testing.assert_array_equal(pixels[:8, 80:144:8], images[closest, 0].numpy())
    assert f"{closest:,}" in first.split() and f"{distances[closest] / 127.5:.3g}" in first.split()


def test_of_many_the_likeliest_copies_are_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nearest", "run", "--count", "30", "--rows", "2", "--neighbours", "1", "--features", "pixels"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("the 2 samples of least relative distance, each with its 1 nearest training image on")
    rows = said[2:4]
    relative = [float(row.split()[-2]) for row in rows]
    assert relative == sorted(relative)
    with Image.open("nearest.png") as picture:
        assert picture.size == (64 + 16 + 64, 2 * 72 - 8)


def test_what_takes_long_is_told(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_exp.display.progress.BETWEEN_S", 0.0)
    monkeypatch.setattr("gan_exp.evaluation.progress.EVERY_S", 0.0)
    assert main(["nearest", "run", "--count", "600", "--features", "pixels"]) == 0
    said = "".join(capsys.readouterr())
    assert "256 of 600 samples; " in said and "512 of 600 samples; " in said
    assert "features pixels of 600 images: 43%, about " in said and "features pixels of 1,797 images: " in said


def test_points_are_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use(untrained("points"), nearest, monkeypatch)
    assert main(["nearest", "any"]) == 2
    assert "nearest: the run makes points of the plane, and this command compares images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "some.gif"], "--output some.gif: must end in .png"),
        (["--features", "lenet"], "--features lenet: must be cnn, ssl, inception, random or pixels"),
        (["--class", "9"], "--class 9: the run is not conditional"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nearest", "run", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["run"]
