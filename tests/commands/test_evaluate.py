"""`gan-exp evaluate`: what it shows and writes, that it is the same whenever asked, and what it refuses."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fake_sets import mnist_files, place
from gan_exp.cli import main
from gan_exp.data.digits import digits
from gan_exp.display.pairs import neighbour_grid
from gan_exp.evaluation import evaluator
from gan_exp.metrics.distances import frechet_distance
from gan_exp.metrics.embedding import Embedding
from gan_exp.metrics.entries import PANEL
from gan_exp.metrics.metric import Need
from gan_exp.runs.run_dir import RunDir

QUICK = ("steps=2", "batch_size=4", "display=quiet", "hydra.run.dir=run")
WIDTHS = ("model.generator.widths=[8]", "model.discriminator.widths=[8]")
PANEL_NAMES = ("cnn", "lenet", "mlp", "autoencoder", "pixels")
LABELLED = {score.name for score in PANEL.scores if Need.NO_LABELS not in score.needs}
SMALL = ("--count", "40", "--seeds", "2")


pytestmark = pytest.mark.usefixtures("quick_classifier")


def evaluated(*words: str, step: int = 4, space: str = "cnn") -> dict[str, Any]:
    assert main(["evaluate", "run", *SMALL, *words]) == 0
    found: dict[str, Any] = json.loads(RunDir("run").evaluation(step, space).read_text())
    return found


def test_everything_the_data_allows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = evaluated()
    shown = capsys.readouterr().out
    expected = {"fid", "kid", "kid_subset_sd", "score", "precision", "recall", "density", "coverage", "class_kl"}
    panel = {"panel", "recognised", *LABELLED}
    assert set(report["metrics"]) == {f"{name}_cnn" for name in expected} | panel | {"logit_train", "logit_fake"}
    for name, value in report["metrics"].items():
        assert name in shown
        assert len(value["values"]) == (1 if name.startswith("logit") else 2)
        assert math.isfinite(value["mean"])
    fid = report["metrics"]["fid_cnn"]
    assert fid["mean"] == pytest.approx(np.mean(fid["values"])) and fid["sd"] == pytest.approx(
        np.std(fid["values"], ddof=1)
    )
    assert fid["data"] > 0 and "data" not in report["metrics"]["logit_train"]
    assert report["protocol"]["yardstick"] == {"what": "40 of the training images against 899 others", "images": 40}
    protocol = report["protocol"]
    assert (protocol["samples"], protocol["reals"], protocol["seeds"]) == (40, 1797, [0, 1])
    assert (protocol["split"], protocol["held_out"], protocol["averaged_generator"]) == ("train", None, True)
    assert protocol["features"]["digest"] in shown and protocol["data_digest"] == digits().digest
    assert [member["name"] for member in protocol["panel"]["members"]] == list(PANEL_NAMES)
    assert all(0 < member["accuracy"] <= 1 for member in protocol["panel"]["members"][:3])
    assert report["metrics"]["panel"]["data"] == 1 and report["metrics"]["recognised"]["data"] >= 0
    assert 0 < protocol["features"]["accuracy"] <= 1 and protocol["versions"]["torch"]
    assert sum(report["classes"]["data"]) == 1797 and sum(report["classes"]["samples"]) == 40
    log = EventAccumulator("run/tensorboard", size_guidance={"scalars": 0})
    log.Reload()
    (point,) = log.Scalars("evaluation/fid_cnn")
    assert (point.step, point.value) == (4, pytest.approx(fid["mean"], rel=1e-6))
    assert len(log.Scalars("loss/generator")) == 4  # what training wrote stays


def test_it_says_what_it_does_and_what_not(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated()
    shown = capsys.readouterr().out
    said = [
        "evaluating run: loading the networks and the data",
        "run at step 4: measuring 40 samples of each of 2 seeds against images of digits",
        "left out: neighbours, which needs images that were not trained on: train with dataset.held_out=0.1",
        "this takes about",
        "seed 1 of 2 measured, about",
        "seed 2 of 2 measured\n",
        "data: the scores of real images (40 of the training images against 899 others)",
    ]
    places = [shown.index(sentence) for sentence in said]
    assert places == sorted(places) and "which only ring" not in shown


def test_several_runs_share_what_they_have_in_common(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("run", "outputs/2026-01-01/10-10-39-other")
    alone = evaluated()
    built: list[object] = []
    monkeypatch.setattr(evaluator.Evaluator, "__init__", lambda self, *given, make=evaluator.Evaluator.__init__: (
        built.append(self), make(self, *given)
    )[1])  # fmt: skip
    capsys.readouterr()
    assert main(["evaluate", "run", "10-10-39", "run", *SMALL]) == 0
    paths = ("run", "outputs/2026-01-01/10-10-39-other")
    both = [json.loads(RunDir(path).evaluation(4, "cnn").read_text()) for path in paths]
    assert both[0] == alone and both[1]["metrics"] == alone["metrics"] and len(built) == 1
    header, *rows = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    assert header.split() == ["score", "run", "10-10-39-other", "data"]
    assert rows[0].startswith("fid_cnn") and rows[0].count("+-") == 2
    with pytest.raises(AssertionError):
        evaluated("nowhere")


@pytest.fixture
def swept(run: Path) -> Path:
    """A sweep of copies of the run, with seeds of their own; the last one was stopped."""
    for number in range(3):
        place = Path(f"swept/{number}-seed={number}")
        shutil.copytree("run", place)
        config = place / "config.yaml"
        config.write_text(config.read_text().replace("\nseed: 0\n", f"\nseed: {number}\n"))
    RunDir(place).write_status("interrupted", 2, "SIGTERM")
    Path("swept/multirun.yaml").touch()
    return Path("swept")


def test_the_runs_of_a_sweep(swept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The data's features are computed once; a line for each run, and their comparison."""
    built: list[object] = []
    monkeypatch.setattr(evaluator.Evaluator, "__init__", lambda self, *given, make=evaluator.Evaluator.__init__: (
        built.append(self), make(self, *given)
    )[1])  # fmt: skip
    capsys.readouterr()
    assert main(["evaluate", "swept", "--metrics", "fid", *SMALL]) == 0
    shown = capsys.readouterr().out
    assert len(built) == 1 and "left out, since they have not finished: 2-seed=2 (stopped)" in shown
    assert "1 of 2: 0-seed=0 at step 4: fid_cnn" in shown and "2 of 2: 1-seed=1 at step 4: fid_cnn" in shown
    assert "best by fid_cnn (lower is better): all runs" in shown and "over 2 seeds" in shown
    assert "by gan-exp evaluate, 40 samples, features cnn" in shown
    written = [RunDir(swept / name).evaluation(4, "cnn").exists() for name in ("0-seed=0", "1-seed=1", "2-seed=2")]
    assert written == [True, True, False]


def test_one_that_cannot_be_measured_does_not_end_the_others(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (swept / "0-seed=0" / "checkpoints").iterdir():
        path.unlink()
    assert main(["evaluate", "swept", "--metrics", "fid", *SMALL]) == 1
    output = capsys.readouterr()
    assert "1 of 2: 0-seed=0 can't be measured" in output.out and "2 of 2: 1-seed=1 at step 4: fid_cnn" in output.out
    assert "no undamaged checkpoint" in output.err and output.err.count("\n") == 1
    assert main(["evaluate", "swept", "--metrics", "modes", *SMALL]) == 2
    assert "--metrics modes: only ring, grid" in capsys.readouterr().err
    for path in swept.glob("*/status.json"):
        path.write_text('{"state": "failed"}')
    assert main(["evaluate", "swept"]) == 2
    assert "swept: none of its 3 runs has finished; name those to measure" in capsys.readouterr().err


def test_an_infinite_score_is_null_with_a_reason(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Samples of classes that the data compared with lacks: JSON has no Infinity."""
    for number, label in enumerate("ab" * 6):
        Path("images", label).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * number).save(f"images/{label}/{number}.png")
    data = ("dataset=folder", "dataset.root=images", "dataset.size=8")
    assert main(["train", *QUICK, *WIDTHS, *data]) == 0
    counts = torch.tensor([12, 0])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluator.Evaluator, "_histogram", lambda *_: counts)
        patched.setattr(Embedding, "labels", torch.tensor([0, 1]).repeat(20))
        report = evaluated("--metrics", "classes", step=2)
    assert report["metrics"]["class_kl_cnn"] == {
        "mean": None,
        "sd": None,
        "values": [None, None],
        "reason": "infinite: samples are of a class that the data compared with lacks",
        "data": None,
    }
    assert "Infinity" not in RunDir("run").evaluation(2, "cnn").read_text()
    assert "infinite: samples are of a class" in capsys.readouterr().out
    assert main(["doctor", "run"]) == 0


def test_a_folder_without_classes(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the network that learns without labels, in training and after it; few images, which is said."""
    Path("images").mkdir()
    for number in range(40):
        Image.new("RGBA", (8, 8), (6 * number, 90, 0, 5 * number)).save(f"images/{number}.png")
    data = ("dataset=folder", "dataset.root=images", "dataset.size=8", "dataset.held_out=0.3")
    words = ("model=mlp", "evaluate_every_steps=2", "evaluate_count=40")
    assert main(["train", *QUICK, *WIDTHS, *data, *words]) == 0
    report = evaluated(step=2, space="ssl")
    found = report["metrics"]
    names = {"fid", "kid", "precision", "recall", "density", "coverage", "nearest", "nearest_held_out", "nearer"}
    members = {"ssl", "ssl_early", "random", "random_early", "autoencoder", "autoencoder_early", "pixels"}
    assert {f"{name}_ssl" for name in names} | {"panel"} | {f"panel_{name}" for name in members} <= found.keys()
    assert "recognised" not in found and "panel_cnn" not in found and found["panel"]["data"] == 1
    shown = capsys.readouterr().out
    assert "fewer than the 128 features" in shown and "for the scores of papers add --features inception" in shown
    last = json.loads(RunDir("run").metrics.read_text().splitlines()[-1])
    assert {"evaluation/fid_ssl", "evaluation/panel_ssl", "best/kid_ssl"} <= last.keys()
    content = torch.load(RunDir("run").checkpoint(2), weights_only=True)
    assert (content["best"]["metric"], content["best"]["features"]) == ("kid", "ssl")


def test_the_samples_are_those_of_gan_exp_sample(run: Path) -> None:
    report = evaluated("--features", "pixels", "--metrics", "fid", space="pixels")
    values = []
    for seed in ("0", "1"):
        assert main(["sample", "run", "--count", "40", "--seed", seed, "--output", "some.npy", "--force"]) == 0
        samples, reals = torch.from_numpy(np.load("some.npy")).flatten(1), digits().images.flatten(1)
        values.append(frechet_distance(reals / 127.5 - 1, samples / 127.5 - 1))
    assert report["metrics"]["fid_pixels"]["values"] == pytest.approx(values, rel=1e-4)


def test_again_is_the_same(run: Path) -> None:
    first = evaluated()
    assert evaluated() == first
    shutil.rmtree("run/checkpoints/step-00000004-cnn.evaluation.json", ignore_errors=True)
    assert evaluated("--metrics", "fid")["metrics"]["fid_cnn"] == first["metrics"]["fid_cnn"]


def test_held_out_images_and_neighbours(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *QUICK, *WIDTHS, "dataset.held_out=0.2"]) == 0
    report = evaluated("--split", "held_out", step=2)
    metrics, protocol = report["metrics"], report["protocol"]
    held_out = digits().split_by_hash(0.2)[1]
    assert protocol["reals"] == protocol["held_out"] == len(held_out.images)
    assert metrics["nearest_cnn"]["mean"] > metrics["nearest_held_out_cnn"]["mean"]  # noise is far from digits
    assert metrics["nearer_cnn"]["mean"] < 0.2
    assert 0.4 < metrics["logit_overfitting"]["mean"] < 0.6  # after two steps D has memorised nothing
    with Image.open(Path("run/checkpoints") / report["neighbours"]) as picture:
        assert min(picture.size) > 100
    assert "logit_held_out" in metrics


def test_neighbour_grid() -> None:
    """The nearest pair first, sample left of its neighbour."""
    from gan_exp.metrics.neighbours import Nearest

    samples = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 1, 8, 8)
    training = samples + 100
    nearest = Nearest(torch.tensor([3.0, 1, 2, 9, 8, 7, 6, 5]), torch.tensor([0, 5, 2, 0, 0, 0, 0, 0]))
    grid = neighbour_grid(samples, training, nearest)
    factor = grid.shape[2] // (8 * 9 - 1)
    first_row = grid[0, 0, :: 9 * factor][:8].tolist()
    assert first_row[:4] == [1, 105, 2, 102] and first_row[4] == 0


@pytest.mark.slow
def test_points(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the published protocol: 2,500 points."""
    assert main(["train", *QUICK, *WIDTHS, "dataset=ring", "dataset.count=3000", "model=points"]) == 0
    assert main(["evaluate", "run", "--seeds", "2"]) == 0
    report = json.loads(RunDir("run").evaluation(2, "points").read_text())
    metrics = report["metrics"]
    assert report["protocol"]["samples"] == 2500
    assert 0 <= metrics["modes"]["mean"] <= 8 and 0 <= metrics["high_quality"]["mean"] <= 1
    assert metrics["mode_kl"]["mean"] >= 0 and "fid_points" in metrics and "score_points" not in metrics
    assert "modes found" in capsys.readouterr().out


@pytest.mark.slow
def test_stacked_mnist(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Digit triples by the classifier of single digits."""
    place(mnist_files(), in_tmp / "data" / "MNIST" / "raw")
    data = ("dataset=stacked_mnist", "dataset.root=data", "dataset.count=200")
    assert main(["train", *QUICK, *WIDTHS, *data]) == 0
    metrics = evaluated("--metrics", "modes,fid", step=2)["metrics"]
    assert set(metrics) == {"modes", "mode_kl", "fid_cnn"}
    assert 1 <= metrics["modes"]["mean"] <= 40 and metrics["mode_kl"]["mean"] >= math.log(1000 / 40) - 1e-6
    panel = evaluated("--metrics", "panel", step=2)["metrics"]
    assert set(panel) == LABELLED and 0 <= panel["recognised"]["mean"] <= 1
    assert panel["panel"]["data"] == 1 < panel["panel"]["mean"]


def test_a_conditional_run(in_tmp: Path) -> None:
    assert main(["train", *QUICK, *WIDTHS, "conditional=true"]) == 0
    report = evaluated(step=2)
    assert "logit_fake" not in report["metrics"] and "logit_train" in report["metrics"]
    assert report["protocol"]["conditional"]


def test_packed_logits(in_tmp: Path) -> None:
    assert main(["train", *QUICK, *WIDTHS, "pac=2"]) == 0
    assert set(evaluated("--metrics", "discriminator", step=2)["metrics"]) == {"logit_train", "logit_fake"}


def test_another_checkpoint(run: Path) -> None:
    newest = evaluated("--metrics", "fid")
    earlier = evaluated("--metrics", "fid", "--checkpoint", str(RunDir(run).checkpoint(2)), step=2)
    assert (newest["step"], earlier["step"]) == (4, 2)
    assert newest["metrics"] != earlier["metrics"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: is not the directory of a run"),
        (["run", "--count", "0"], "0: must be a whole number of at least 1"),
        (["run", "--count", "1"], "--count 1: fake features: 1 sample is too few; at least 2 are needed"),
        (["run", "--seeds", "0"], "0: must be a whole number of at least 1"),
        (["run", "--metrics", "fdi"], "fdi: no such metric; did you mean fid?"),
        (["run", "--metrics", ","], "no metric is named; known are fid"),
        (["run", "--metrics", "modes"], "--metrics modes: only ring, grid and stacked_mnist"),
        (["run", "--metrics", "neighbours"], "--metrics neighbours: needs images that were not trained on"),
        (
            ["run", "--metrics", "score", "--features", "pixels"],
            "--metrics score: needs a feature extractor that ",
        ),
        (["run", "--split", "held_out"], "--split held_out: this run trained on all of its images"),
        (["run", "--features", "vgg"], "--features vgg: must be cnn, ssl, inception, random or pixels"),
        (["run", "--seed", "3"], "--seed: unknown option; did you mean --seeds?"),
        (["run", "--checkpoint", "best"], "--checkpoint best: the run kept none"),
        (["run", "--checkpoint", "nowhere.pt"], "--checkpoint nowhere.pt: no such checkpoint; "),
    ],
)
def test_refusals(words: list[str], sentence: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path("run").rglob("*"))
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gan-exp: ") and sentence in said and said.count("\n") == 1
    assert sorted(Path("run").rglob("*")) == before


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "--metrics M,M" in capsys.readouterr().out
