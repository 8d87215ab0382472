from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_exp.cli import main
from gan_exp.commands import interpolate
from gan_exp.data.packed import to_uint8
from gan_exp.display.images import filled_grid
from gan_exp.generators.trained import TrainedGenerator
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import Interrupted
from untrained_generators import untrained, use


def tiles(path: str, rows: int, columns: int) -> np.ndarray:
    """[rows, columns, height, width, ...] of a strip of 8x8 images, which are enlarged eightfold."""
    pixels = np.asarray(Image.open(path))[::8, ::8]
    assert pixels.shape[:2] == (rows * 9 - 1, columns * 9 - 1)
    return np.stack([[pixels[9 * r : 9 * r + 8, 9 * c : 9 * c + 8] for c in range(columns)] for r in range(rows)])


def samples(generator: TrainedGenerator, indices: list[int], label: str | None = None) -> np.ndarray:
    images = generator.images(generator.latents(0, indices), generator.labels(indices, label))
    return to_uint8(images).permute(0, 2, 3, 1).squeeze(3).numpy()


def test_a_strip_passes_the_samples_by_their_numbers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interpolate", "run", "--indices", "4,2,9", "--frames", "5", "--output", "strip.png"]) == 0
    assert capsys.readouterr().out.endswith("5 frames through 3 samples in strip.png\n")
    found = tiles("strip.png", 1, 5)[0]
    np.testing.assert_array_equal(found[[0, 2, 4]], samples(TrainedGenerator.from_run(RunDir(run)), [4, 2, 9]))
    assert (found[1] != found[0]).any() and (found[1] != found[2]).any()


def test_an_animation_begins_with_the_first_samples_and_a_loop_comes_back(run: Path) -> None:
    words = ["interpolate", "run", "--keys", "2", "--loop", "--frames", "6", "--fps", "10", "--output", "walk.webp"]
    assert main(words) == 0
    generator = TrainedGenerator.from_run(RunDir(run))
    with Image.open("walk.webp") as film:
        assert film.n_frames == 6 and film.info["loop"] == 0
        frames = [np.asarray(frame.convert("L")) for frame in (film.seek(k) or film.copy() for k in range(6))]
    for frame, first in ((0, 0), (3, 4)):
        images = to_uint8(generator.images(generator.latents(0, range(first, first + 4))))
        np.testing.assert_array_equal(frames[frame], filled_grid(images)[0].numpy())
    np.testing.assert_array_equal(frames[1], frames[5])  # the way back is the way there
    np.testing.assert_array_equal(frames[2], frames[4])


def test_between_classes_a_sample_is_held(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained(conditional=True)
    use(generator, interpolate, monkeypatch)
    assert main(["interpolate", "any", "--class", "cat", "0", "--count", "2", "--output", "strip.png"]) == 0
    found = tiles("strip.png", 2, 5)
    np.testing.assert_array_equal(found[:, 0], samples(generator, [0, 1], "cat"))
    np.testing.assert_array_equal(found[:, 4], samples(generator, [0, 1], "ant"))
    assert (found[:, 2] != found[:, 0]).any() and (found[:, 2] != found[:, 4]).any()


def test_samples_and_classes_change_together_if_both_are_named(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained(conditional=True)
    use(generator, interpolate, monkeypatch)
    assert main(["interpolate", "any", "--class", "cat", "ant", "--indices", "5,1,7", "--output", "strip.png"]) == 0
    found = tiles("strip.png", 1, 9)[0]
    for place, index, label in ((0, 5, "cat"), (4, 1, "ant"), (8, 7, "cat")):
        np.testing.assert_array_equal(found[place], samples(generator, [index], label)[0])


def test_one_class_holds_for_the_whole_way(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained(conditional=True)
    use(generator, interpolate, monkeypatch)
    assert main(["interpolate", "any", "--class", "bee", "--indices", "3,4", "--linear", "--output", "strip.png"]) == 0
    latents = generator.latents(0, [3, 4])
    middle = to_uint8(generator.images(latents.mean(dim=0, keepdim=True), torch.tensor([1])))[0, 0].numpy()
    np.testing.assert_array_equal(tiles("strip.png", 1, 5)[0, 2], middle)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("output", ["strip.png", "walk.gif", "walk.webp"])
def test_all_channels(output: str, channels: int, mode: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(untrained(channels=channels), interpolate, monkeypatch)
    assert main(["interpolate", "any", "--keys", "2", "--frames", "3", "--output", output]) == 0
    with Image.open(output) as picture:
        assert getattr(picture, "n_frames", 1) == (1 if output == "strip.png" else 3)
        assert output != "strip.png" or picture.mode == mode


@pytest.mark.parametrize("output", ["plots.png", "plots.gif"])
def test_points_are_plotted(output: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(untrained("points"), interpolate, monkeypatch)
    assert main(["interpolate", "any", "--keys", "2", "--frames", "3", "--output", output]) == 0
    with Image.open(output) as picture:
        assert picture.size == ((3 * 321 - 1, 320) if output == "plots.png" else (320, 320))
        assert np.asarray(picture.convert("L")).any()


def test_from_one_inverted_image_to_another(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = untrained(conditional=True)
    use(generator, interpolate, monkeypatch)
    for index, label in ((4, 2), (6, 0)):
        np.savez(f"{index}.npz", latent=generator.latents(0, [index])[0].numpy(), label=label, error=0.1)
    assert main(["interpolate", "any", "--latents", "4.npz", "6.npz", "--output", "strip.png"]) == 0
    found = tiles("strip.png", 1, 5)[0]
    np.testing.assert_array_equal(found[0], samples(generator, [4], "cat")[0])
    np.testing.assert_array_equal(found[4], samples(generator, [6], "ant")[0])


def test_truncation_moves_the_samples_that_are_passed(run: Path) -> None:
    assert main(["interpolate", "run", "--indices", "1,2", "--truncation", "0.1", "--output", "strip.png"]) == 0
    generator = TrainedGenerator.from_run(RunDir(run))
    wanted = to_uint8(generator.images(generator.truncate(generator.latents(0, [1]), 0.1)))[0, 0].numpy()
    np.testing.assert_array_equal(tiles("strip.png", 1, 5)[0, 0], wanted)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--indices", "3"], "--indices 3: a walk passes two samples or more"),
        (["--indices", "3,x"], "--indices x: must be a whole number of at least 0"),
        (
            ["--indices", "3,4", "--keys", "2"],
            "--indices: names the samples of one walk; leave --keys and --count away",
        ),
        (["--keys", "1"], "--keys 1: must be a whole number of at least 2"),
        (["--truncation", "0"], "--truncation 0: must be a number above 0"),
        (["--class", "3"], "--class 3: the run is not conditional"),
        (["--class", "3", "4"], "--class 3: the run is not conditional"),
        (["--output", "walk.avi"], "--output walk.avi: must end in .png, .gif, .webp or .mp4"),
        (["--output", "there.gif"], "--output there.gif: exists; name another file, or overwrite it with --force"),
        (["--fps", "60"], "--fps 60: a GIF shows at most 50 frames a second"),
        (["--checkpoint", "3"], "--checkpoint 3: no such checkpoint"),
        (["--latents", "there.gif"], "--latents: a walk passes two files or more"),
        (["--latents", "there.gif", "no.npz"], "--latents there.gif: is not a file of `gan-exp invert`"),
        (["--latents", "short.npz", "short.npz"], "--latents short.npz: has a latent of 3 numbers, and the run's have"),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.gif").touch()
    np.savez("short.npz", latent=np.zeros(3))
    assert main(["interpolate", "run", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["run", "short.npz", "there.gif"]
    assert Path("there.gif").read_bytes() == b""


def test_force_overwrites(run: Path) -> None:
    Path("strip.png").touch()
    assert main(["interpolate", "run", "--keys", "2", "--output", "strip.png", "--force"]) == 0
    assert tiles("strip.png", 4, 5).any()


def test_a_signal_leaves_nothing_behind(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(TrainedGenerator, "images", interrupted)
    assert main(["interpolate", "run"]) == 130
    assert [path.name for path in Path().iterdir()] == ["run"]
