"""Runs that earlier versions wrote go on, sample and evaluate."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import logged_lines
from gan_exp.cli import main
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir

FIXTURES = Path(__file__).parents[1] / "fixtures"


def copy_of(name: str) -> RunDir:
    shutil.copytree(FIXTURES / name, "older")
    return RunDir.open("older")


def test_a_run_of_an_older_version_goes_on(in_tmp: Path) -> None:
    """Format 1, as version 0.1.0 wrote it: no configuration and no digest in its checkpoint."""
    run = copy_of("format-1")
    before = load_checkpoint(run.checkpoint(2))
    assert before["format"] == 1
    assert main(["resume", "older"]) == 0
    assert run.read_status()["state"] == "finished"
    lines = logged_lines(run.metrics)
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and lines[1]["loss/discriminator"] == 2.001178741455078
    after = load_checkpoint(run.checkpoint(4))
    assert after["format"] == 2 and after["images_seen"] == 2 * before["images_seen"]
    moments = [content["generator_optimizer"]["state"][0]["step"].item() for content in (before, after)]
    assert moments == [2, 4]
    assert main(["resume", "older", "steps=6", "lr=1e-3"]) == 2


def test_a_run_of_format_2_resumes_samples_and_evaluates(in_tmp: Path) -> None:
    """With all that its checkpoint can hold: labels, ADA, a lazy penalty, noise, means that are not read yet.

    The expected numbers are those of the version that trained it, which resumed a copy.
    """
    run = copy_of("format-2")
    before = load_checkpoint(run.checkpoint(3))
    assert before["format"] == 2 and before["window"]["waiting"]["penalised"] == [True, False]
    assert main(["resume", "older"]) == 0
    assert run.read_status()["state"] == "finished"
    lines = logged_lines(run.metrics)
    assert [line["step"] for line in lines] == [2, 4]
    expected = {
        "loss/discriminator": 1.5947411060333252,
        "loss/generator": 1.1758978366851807,
        "accuracy/discriminator": 0.46875,
        "penalty/r1": 0.05179440230131149,
        "gradient_norm/discriminator": 3.300432562828064,
        "gradient_norm_max/generator": 0.9842053651809692,
        "learning_rate/generator": 2.9289321881345254e-05,
    }
    assert {tag: lines[-1][tag] for tag in expected} == pytest.approx(expected, rel=1e-4)

    assert main(["sample", "older", "--count", "2", "--output", "images.npy"]) == 0
    assert np.load("images.npy").sum(axis=(1, 2, 3), dtype=int).tolist() == pytest.approx([7906, 8642], abs=4)

    assert main(["evaluate", "older", "--features", "pixels", "--count", "16", "--seeds", "1"]) == 0
    report = json.loads((run.checkpoints / "step-00000004-pixels.evaluation.json").read_text())
    scores = {name: report["metrics"][name]["mean"] for name in ("fid_pixels", "logit_train")}
    assert scores == pytest.approx({"fid_pixels": 48.53715782576626, "logit_train": -0.5848851203918457}, rel=1e-3)

    assert main(["doctor", "older"]) == 0
