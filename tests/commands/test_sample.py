from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_exp.cli import main
from gan_exp.display.images import image_grid, scatter_plot
from gan_exp.runs.run_dir import RunDir


def sampled(*words: str) -> np.ndarray:
    """uint8 [N, H, W, C] of `gan-exp sample run WORDS`."""
    assert main(["sample", "run", "--output", "some.npy", *words]) == 0
    return np.load("some.npy")


def test_array(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sampled("--count", "5")
    assert (images.shape, images.dtype) == ((5, 8, 8, 1), np.uint8)
    assert images.std() > 0
    assert capsys.readouterr().out == "5 samples of 8x8x1 in some.npy\n"
    assert main(["sample", "run", "--count", "5", "--output", "some.npz"]) == 0
    with np.load("some.npz") as archive:
        assert archive.files == ["images"]
        np.testing.assert_array_equal(archive["images"], images)


def test_the_first_images_are_the_same_whatever_the_count(run: Path) -> None:
    few, many = sampled("--count", "3"), sampled("--count", "300")
    assert len(many) == 300
    np.testing.assert_array_equal(many[:3], few)
    assert len(np.unique(many, axis=0)) == 300  # the second batch is not the first one again


def test_seed(run: Path) -> None:
    np.testing.assert_array_equal(sampled("--seed", "1"), sampled("--seed", "1"))
    assert (sampled("--seed", "1") != sampled("--seed", "2")).any()
    np.testing.assert_array_equal(sampled(), sampled("--seed", "0"))


def test_grid(run: Path) -> None:
    assert main(["sample", "run"]) == 0  # samples.png, 64 images
    assert main(["sample", "run", "--count", "5", "--output", "made/on/the/way.png"]) == 0
    import torch

    images = torch.from_numpy(sampled("--count", "5")).permute(0, 3, 1, 2)
    expected = image_grid(torch.cat([images, torch.zeros_like(images[:1])]), 2, 3)
    with Image.open("made/on/the/way.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected[0].numpy())
    with Image.open("samples.png") as picture:
        assert picture.size[0] == picture.size[1]


def test_folder(run: Path) -> None:
    assert main(["sample", "run", "--count", "3", "--output", "folder"]) == 0
    paths = sorted(Path("folder").iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    for path, image in zip(paths, sampled("--count", "3"), strict=True):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[:, :, 0])


def test_latest_and_another_checkpoint(run: Path) -> None:
    RunDir(run).link_latest()
    newest = sampled("--count", "2")
    assert main(["sample", "latest", "--count", "2", "--output", "latest.npy"]) == 0
    np.testing.assert_array_equal(np.load("latest.npy"), newest)
    earlier = sampled("--count", "2", "--checkpoint", str(RunDir(run).checkpoint(2)))
    assert (earlier != newest).any()
    for name in ("2", "step-00000002.pt"):
        np.testing.assert_array_equal(sampled("--count", "2", "--checkpoint", name), earlier)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: is not the directory of a run"),
        (["latest"], "latest: there is no run under outputs/ here"),
        ([], "sample: which run? `latest`, its directory, or its short name"),
        (["run", "--count", "0"], "0: must be a whole number of at least 1"),
        (["run", "--count", "1.5"], "1.5: must be a whole number of at least 1"),
        (["run", "--count", "many"], "many: must be a whole number of at least 1"),
        (["run", "--seed", "-1"], "-1: must be a whole number of at least 0"),
        (["run", "--cuont", "3"], "--cuont: unknown option; did you mean --count?"),
        (["run", "--output", "some.jpg"], "--output some.jpg: must end in .png, .npy or .npz"),
        (["run", "--output", "/proc/nothing/x.png"], "--output /proc/nothing/x.png: can't be written ("),
        (["run", "--output", "file/below"], "--output file/below: can't be written ("),
        (["run", "--output", "file"], "--output file: can't be written ("),
        (["run", "--checkpoint", "nowhere.pt"], "--checkpoint nowhere.pt: no such checkpoint; "),
        (["run", "--checkpoint", "1"], "/run has 2, 4"),
        (["run", "--checkpoint", "file"], "file: "),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert main(["sample", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gan-exp: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["file", "run"]


QUICK = ("steps=2", "batch_size=4", "display=quiet", "hydra.run.dir=run")
WIDTHS = ("model.generator.widths=[8]", "model.discriminator.widths=[8]")


def test_classes_of_a_conditional_run(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alternating classes, or the chosen one, from the same latents."""
    assert main(["train", *QUICK, *WIDTHS, "conditional=true", "lr=0.01"]) == 0
    capsys.readouterr()
    all_in_turn = sampled("--count", "25")
    threes = sampled("--count", "25", "--class", "3")
    np.testing.assert_array_equal(threes[3::10], all_in_turn[3::10])
    assert (threes[2] != all_in_turn[2]).any()
    assert (threes[3] != sampled("--count", "25", "--class", "4")[3]).any()
    assert (threes != sampled("--count", "25", "--class", "0")).any()
    assert main(["sample", "run", "--class", "10"]) == 2
    assert "--class 10: the run has 10 classes, numbered from 0" in capsys.readouterr().err


def test_a_run_without_conditions_has_no_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "run", "--class", "3"]) == 2
    error = capsys.readouterr().err
    assert error == "gan-exp: --class 3: the run is not conditional; train one with conditional=true\n"


def test_points(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, *WIDTHS, "dataset=ring", "dataset.count=50", "model=points"]) == 0
    capsys.readouterr()
    assert main(["sample", "run", "--count", "300", "--output", "points.npy"]) == 0
    assert capsys.readouterr().out == "300 points in points.npy\n"
    points = np.load("points.npy")
    assert (points.shape, points.dtype) == ((300, 2), np.float32)
    assert main(["sample", "run", "--count", "300", "--output", "points.png"]) == 0
    import torch

    expected = scatter_plot(torch.from_numpy(points).view(300, 2, 1, 1), 1.5)
    with Image.open("points.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected[0].numpy())
