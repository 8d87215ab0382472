import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_exp.cli import main
from gan_exp.display.images import image_grid, scatter_plot
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import Interrupted


def sampled(*words: str) -> np.ndarray:
    """uint8 [N, H, W, C] of `gan-exp sample run WORDS`."""
    assert main(["sample", "run", "--output", "some.npy", "--force", *words]) == 0
    return np.load("some.npy")


def test_array(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = sampled("--count", "5")
    assert (images.shape, images.dtype) == ((5, 8, 8, 1), np.uint8)
    assert images.std() > 0
    assert capsys.readouterr().out == "5 samples of 8x8x1 in some.npy, computed in float32\n"
    assert main(["sample", "run", "--count", "5", "--output", "some.NPZ"]) == 0
    with np.load("some.NPZ") as archive:
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
    assert [path.name for path in paths] == ["seed0-000000.png", "seed0-000001.png", "seed0-000002.png"]
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
        (["run", "--truncation", "0"], "--truncation 0: must be a number above 0"),
        (["run", "--truncation", "inf"], "--truncation inf: must be a number above 0"),
        (["run", "--truncation", "some"], "--truncation some: must be a number above 0"),
        (["run", "--start", "-1"], "-1: must be a whole number of at least 0"),
        (["run", "--device", "tpu"], "--device tpu: must be auto, cpu, cuda or mps"),
        (["run", "--count", "5000"], "--count 5000: a grid shows at most 4096 of 8x8; name a folder, a .npy or .npz"),
        (["run", "--output", "file.png"], "--output file.png: exists; name another file, or overwrite it with --force"),
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
    Path("file.png").touch()
    assert main(["sample", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gan-exp: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["file", "file.png", "run"]


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
    np.testing.assert_array_equal(sampled("--count", "3", "--class", "three"), threes[:3])
    check_class_files(capsys)


def check_class_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files with classes, labels beside an array, and a row for each class."""
    for words in (["--count", "2"], ["--count", "2", "--class", "3", "--start", "2"]):
        assert main(["sample", "run", "--output", "folder", *words]) == 0
    names = ["seed0-000000-0.png", "seed0-000001-1.png", "seed0-000002-3.png", "seed0-000003-3.png"]
    assert sorted(path.name for path in Path("folder").iterdir()) == names
    assert main(["sample", "run", "--output", "some.npz", "--count", "13"]) == 0
    with np.load("some.npz") as archive:
        assert archive["labels"].tolist() == [*range(10), 0, 1, 2] and archive["images"].shape == (13, 8, 8, 1)
    capsys.readouterr()
    assert main(["sample", "run"]) == 0
    assert capsys.readouterr().out == "80 samples of 8x8x1 in samples.png, computed in float32\n"
    with Image.open("samples.png") as picture:
        width, height = picture.size
    assert height == 10 * 9 * 3 - 3 and width > 8 * 9 * 3 - 3  # the grid, enlarged three times, and the names


def test_what_exists_is_overwritten_by_force_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for output in ("some.npy", "some.png", "folder"):
        words = ["sample", "run", "--count", "2", "--output", output]
        assert main(words) == 0
        assert main([*words, "--seed", "1"]) == (0 if output == "folder" else 2)  # other names
        capsys.readouterr()
        assert main(words) == 2
        assert "overwrite" in (error := capsys.readouterr().err) and "--force" in error and output in error
        assert main([*words, "--force"]) == 0
    assert main(["sample", "run", "--count", "2", "--output", "folder", "--start", "1"]) == 2
    error = capsys.readouterr().err
    assert "--output folder: holds seed0-000001.png already; " in error and "--start 2" in error
    assert main(["sample", "run", "--count", "2", "--output", "folder", "--start", "2"]) == 0


def test_an_image_is_the_same_wherever_one_starts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = sampled("--count", "300")
    np.testing.assert_array_equal(sampled("--count", "20", "--start", "250"), whole[250:270])
    capsys.readouterr()
    np.testing.assert_array_equal(sampled("--count", "1", "--start", "299"), whole[299:])
    assert capsys.readouterr().out.startswith("1 sample of 8x8x1 in ")


def test_truncation_and_the_generator_in_training(run: Path) -> None:
    plain, near, nearer = (sampled(*words) for words in ([], ["--truncation", "0.5"], ["--truncation", "0.01"]))
    assert nearer.astype(float).std(axis=0).mean() < near.astype(float).std(axis=0).mean()
    assert near.astype(float).std(axis=0).mean() < plain.astype(float).std(axis=0).mean()
    np.testing.assert_array_equal(sampled("--truncation", "40"), plain)
    assert (sampled("--no-average") != plain).any()


@pytest.mark.parametrize("output", ["some.npy", "some.npz", "some.png", "folder"])
def test_a_signal_loses_nothing(
    output: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gan_exp.generators.trained import TrainedGenerator

    rows: list[int] = []
    images = TrainedGenerator.images

    def until_the_third_block(self: TrainedGenerator, latents: Any, labels: Any = None) -> Any:
        rows.append(len(latents))
        if len(rows) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return images(self, latents, labels)

    whole = sampled("--count", "512")
    Path("some.npy").unlink()
    capsys.readouterr()
    monkeypatch.setattr(TrainedGenerator, "images", until_the_third_block)
    assert main(["sample", "run", "--count", "4000", "--output", output]) == 130
    another = "" if output == "folder" else " --output ANOTHER"
    assert capsys.readouterr().out == (
        f"interrupted after 512 of 4,000 samples, which are in {output}; the same command with --start 512 --count 3488"
        f"{another} makes the others\n"
    )
    assert rows == [256, 256, 256]  # never all at once
    assert not list(Path().glob(".*.partial"))
    if output == "some.npy":
        np.testing.assert_array_equal(np.load(output), whole)
    elif output == "some.npz":
        with np.load(output) as archive:
            np.testing.assert_array_equal(archive["images"], whole)
    elif output == "folder":
        assert len(list(Path(output).iterdir())) == 512


def test_a_signal_before_the_first_samples_leaves_no_file(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_exp.generators.trained import TrainedGenerator

    def interrupted(*_: Any) -> Any:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(TrainedGenerator, "images", interrupted)
    assert main(["sample", "run", "--output", "some.npy"]) == 130
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_a_run_without_conditions_has_no_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "run", "--class", "3"]) == 2
    error = capsys.readouterr().err
    assert error == "gan-exp: --class 3: the run is not conditional; train one with conditional=true\n"


def test_points(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, *WIDTHS, "dataset=ring", "dataset.count=50", "model=points"]) == 0
    capsys.readouterr()
    assert main(["sample", "run", "--count", "300", "--output", "points.npy"]) == 0
    assert capsys.readouterr().out == "300 points in points.npy, computed in float32\n"
    points = np.load("points.npy")
    assert (points.shape, points.dtype) == ((300, 2), np.float32)
    assert main(["sample", "run", "--count", "300", "--output", "points.png"]) == 0
    import torch

    expected = scatter_plot(torch.from_numpy(points).view(300, 2, 1, 1), 1.5)
    with Image.open("points.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected[0].numpy())
    assert main(["sample", "run", "--output", "folder"]) == 2
    error = capsys.readouterr().err
    assert error == "gan-exp: --output folder: points are written as a .png plot, a .npy or a .npz\n"
