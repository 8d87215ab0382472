from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_exp.cli import main
from gan_exp.commands import invert
from gan_exp.data.packed import to_uint8
from gan_exp.display.images import to_pil
from gan_exp.generators.trained import TrainedGenerator
from untrained_generators import untrained, use

QUICK = ("--steps", "60", "--starts", "4")


def own_image(generator: TrainedGenerator, index: int, label: str | None = None) -> None:
    """An image that the generator makes, as `own.png`."""
    latents, labels = generator.latents(0, [index]), generator.labels([index], label)
    to_pil(to_uint8(generator.images(latents, labels))[0]).save("own.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_own_image_is_found_again(
    channels: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = untrained(channels=channels)
    use(generator, invert, monkeypatch)
    own_image(generator, 3)
    assert main(["invert", "any", "own.png", "--steps", "150", "--starts", "8"]) == 0
    *_, error, files = capsys.readouterr().out.splitlines()  # on a busy machine behind lines of progress
    assert error.startswith("mean squared error ") and "class" not in error
    assert files == "image, reconstruction and difference in inverted.png, the latent in inverted.npz"
    with np.load("inverted.npz") as arrays:
        assert sorted(arrays) == ["error", "latent"] and arrays["latent"].shape == (8,)
        # A file's colours behind full transparency are not read, and here every pixel's channels are independent.
        assert 0 <= arrays["error"] < (1e-3 if channels < 4 else 0.3)
    with Image.open("inverted.png") as picture:
        assert picture.width == 3 * 160 + 2 * 4 and 160 < picture.height < 200
        assert picture.mode == ("L" if channels == 1 else "RGB")


def test_the_class_that_fits_best_or_the_one_asked_for(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained(conditional=True)
    use(generator, invert, monkeypatch)
    own_image(generator, 0, "bee")
    for words, label in (([], 1), (["--class", "cat"], 2)):
        assert main(["invert", "any", "own.png", *QUICK, *words, "--force"]) == 0
        with np.load("inverted.npz") as arrays:
            assert arrays["label"] == label


def test_another_shape_is_made_to_fit_and_told(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(untrained(channels=1), invert, monkeypatch)
    Image.new("RGB", (30, 20), (200, 10, 10)).save("wide.jpg")
    assert main(["invert", "any", "wide.jpg", *QUICK]) == 0
    assert "wide.jpg: 20x30x3 becomes 8x8x1 (crop where the sides differ)" in capsys.readouterr().out
    Image.fromarray(np.full((16, 16), 40000, np.uint16)).save("deep.png")
    assert main(["invert", "any", "deep.png", *QUICK, "--force"]) == 0
    assert "deep.png: 16x16x1 becomes 8x8x1\n" in capsys.readouterr().out


def test_points_are_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use(untrained("points"), invert, monkeypatch)
    Image.new("L", (8, 8)).save("some.png")
    assert main(["invert", "any", "some.png"]) == 2
    assert "invert: the run makes points of the plane" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "invert: which image? a file such as photo.png"),
        (["nowhere.png"], "nowhere.png: no such image"),
        (["run"], "run: no such image"),
        (["text.png"], "text.png: can't be read as an image"),
        (["some.png", "--class", "1"], "--class 1: the run is not conditional"),
        (["some.png", "--output", "some.png"], "--output some.png: exists"),
        (["some.png", "--output", "taken.png"], "--output taken.npz: exists"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("no picture")
    Path("taken.npz").touch()
    Image.new("L", (8, 8)).save("some.png")
    assert main(["invert", "run", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["run", "some.png", "taken.npz", "text.png"]
