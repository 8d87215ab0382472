"""Evaluations while a run trains change nothing in it, cost no training time, and come again on resume."""

import json
import signal
import time
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import assert_same, read_lines
from gan_exp.cli import main
from gan_exp.data.digits import digits
from gan_exp.data.packed import PackedImages
from gan_exp.data.toys import ring
from gan_exp.evaluation.division import Division
from gan_exp.evaluation.evaluator import Evaluator
from gan_exp.evaluation.features.pixels import pixel_features
from gan_exp.evaluation.in_training import EvaluationHelp, TrainingEvaluation, choose_best_metric
from gan_exp.metrics.entries import FID
from gan_exp.models.mlp import MLPGenerator
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.ranks import Ranks
from threaded_ranks import in_threads

pytestmark = pytest.mark.slow

SMALL = (
    "batch_size=4",
    "lr=0.01",
    "log_every_steps=1",
    "checkpoint_every_steps=2",
    "keep_checkpoints=1",
    "evaluate_count=30",
    "model.generator.widths=[8]",
    "model.discriminator.widths=[8]",
)


def trained(name: str, *words: str, display: str = "quiet") -> RunDir:
    assert main(["train", *SMALL, *words, f"display={display}", f"hydra.run.dir={name}"]) == 0
    return RunDir(name)


def scores(run: RunDir) -> list[dict[str, float]]:
    return [line for line in read_lines(run.metrics) if "evaluation/fid_cnn" in line]


def test_the_best_checkpoint_is_kept(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("run", "steps=7", "evaluate_every_steps=2", "best_metric=fid", display="plain")
    found = scores(run)
    assert [line["step"] for line in found] == [2, 4, 6, 7]
    best = min(found, key=lambda line: line["evaluation/fid_cnn"])
    so_far = accumulate((line["evaluation/fid_cnn"] for line in found), min)
    assert [line["best/fid_cnn"] for line in found] == list(so_far)
    content = load_checkpoint(run.best)
    assert content["step"] == content["best"]["step"] == best["step"]
    assert content["best"]["score"] == best["evaluation/fid_cnn"]
    assert [step for step, _ in run.list_checkpoints()] == [7]  # best.pt is none of those that are pruned
    shown = capsys.readouterr().out
    assert f"step {best['step']}: fid_cnn {best['evaluation/fid_cnn']:.4g}" in shown
    assert "(the best so far)" in shown and "s beside the training; best fid" in shown
    # The same numbers from the file, by the command.
    words = ["--checkpoint", "best", "--count", "30", "--seeds", "1", "--metrics", "fid"]
    assert main(["evaluate", "run", *words]) == 0
    report = json.loads(run.evaluation(int(best["step"]), "cnn").read_text())
    assert report["metrics"]["fid_cnn"]["mean"] == pytest.approx(best["evaluation/fid_cnn"], rel=1e-9)
    assert main(["sample", "run", "--checkpoint", "best", "--count", "3", "--output", "some.npy"]) == 0


def test_training_is_as_it_would_be_without(in_tmp: Path) -> None:
    with_them, without = trained("with", "steps=4", "evaluate_every_steps=1"), trained("without", "steps=4")
    first, second = load_checkpoint(with_them.checkpoint(4)), load_checkpoint(without.checkpoint(4))
    for part in ("generator", "generator_ema", "discriminator", "generator_optimizer", "window"):
        assert_same(first[part], second[part])
    assert not without.best.exists() and scores(without) == []


@pytest.mark.parametrize("ema", ["0", "10"])
def test_resumed_equals_never_stopped(ema: str, in_tmp: Path) -> None:
    words = ("evaluate_every_steps=2", f"ema_halflife_kimg={ema}", "schedule=constant")  # others stretch with steps
    whole, stopped = trained("whole", "steps=8", *words), trained("stopped", "steps=4", *words)
    assert main(["resume", "stopped", "steps=8"]) == 0
    assert scores(stopped) == scores(whole) and len(scores(whole)) == 4
    first, second = load_checkpoint(whole.best), load_checkpoint(stopped.best)
    assert first["best"] == second["best"]
    assert_same(first["generator"], second["generator"])


@pytest.mark.parametrize("steps", [4, 8])
def test_a_signal_cuts_it_short_and_it_comes_on_resume(
    steps: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of the run and in its last evaluation: nothing is lost, nothing is there twice."""
    words = (f"steps={steps}", "evaluate_every_steps=2")
    whole = trained("whole", *words)
    measure = Evaluator.measure

    def interrupted(self: Evaluator, *given: Any) -> Any:
        asked = RunDir("stopped").list_checkpoints()[-1][0] == 2
        if asked:
            signal.raise_signal(signal.SIGINT)
        made = measure(self, *given)
        assert not asked, "went on with it"
        return made

    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "measure", interrupted)
        assert main(["train", *SMALL, *words, "display=quiet", "hydra.run.dir=stopped"]) == 130
    stopped = RunDir("stopped")
    assert [line["step"] for line in scores(stopped)] == [2] and stopped.list_checkpoints()[-1][0] == 4
    assert main(["resume", "stopped"]) == 0
    assert read_steps(stopped) == read_steps(whole) and scores(stopped) == scores(whole)
    first, second = load_checkpoint(whole.checkpoint(steps)), load_checkpoint(stopped.checkpoint(steps))
    assert_same(first["generator"], second["generator"])
    assert first["best"] == second["best"] and second["evaluation_due"] is False
    assert_same(load_checkpoint(whole.best)["generator"], load_checkpoint(stopped.best)["generator"])


def read_steps(run: RunDir) -> list[tuple[int, bool]]:
    return [(line["step"], "evaluation/fid_cnn" in line) for line in read_lines(run.metrics)]


def test_a_better_one_before_the_stop_stays_the_best(in_tmp: Path) -> None:
    run = trained("run", "steps=2", "evaluate_every_steps=2")
    content = load_checkpoint(run.checkpoint(2))
    content["best"]["score"] = -1.0  # nothing is better
    torch.save(content, run.checkpoint(2))
    kept = run.best.read_bytes()
    assert main(["resume", "run", "steps=6"]) == 0
    assert run.best.read_bytes() == kept
    assert load_checkpoint(run.checkpoint(6))["best"]["step"] == 2


def test_a_metric_of_which_more_is_better(in_tmp: Path) -> None:
    run = trained("run", "steps=6", "evaluate_every_steps=1", "best_metric=recall")
    best = max(line["evaluation/recall_cnn"] for line in scores(run))
    assert load_checkpoint(run.best)["best"]["score"] == best


def test_the_panel_selects_a_checkpoint_and_its_members_are_written(
    in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without being asked: the run's configuration names it."""
    run = trained("run", "steps=4", "evaluate_every_steps=1", display="plain")
    assert run.read_config()["best_metric"] == load_checkpoint(run.best)["best"]["metric"] == "panel"
    found = [line for line in read_lines(run.metrics) if "evaluation/panel" in line]
    assert load_checkpoint(run.best)["best"]["score"] == min(line["evaluation/panel"] for line in found)
    members = {"evaluation/panel_cnn_early", "evaluation/panel_autoencoder", "evaluation/recognised"}
    assert members <= found[0].keys() and len(found) == 4
    shown = capsys.readouterr().out
    assert f"panel {found[0]['evaluation/panel']:.4g}, recognised" in shown and "panel_cnn" not in shown


def test_auto_stands_for_the_panel_or_for_fid_where_there_is_none() -> None:
    """With labels and without, and of points; a score that is named stays."""
    images = digits()
    assert choose_best_metric("auto", images) == choose_best_metric("auto", PackedImages(images.images)) == "panel"
    assert choose_best_metric("auto", ring(100)) == choose_best_metric("fid", images) == "fid"


def test_an_earlier_best_in_other_features_is_forgotten() -> None:
    """Runs on images without labels were compared as pixels once, and their best doesn't tell so."""

    def best(space: str, previous: dict[str, Any]) -> object:
        return TrainingEvaluation(lambda: None, space, (FID,), "fid", 9, print, previous).best  # type: ignore[arg-type, return-value]

    before = {"metric": "fid", "score": 1.0, "step": 2}
    assert best("cnn", before) == best("pixels", before) == before and best("ssl", before) is None
    assert best("ssl", before | {"features": "ssl"}) == before | {"features": "ssl"}
    assert best("cnn", before | {"metric": "kid"}) is None


def test_its_time_is_no_training_time(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = TrainingEvaluation.measure

    def slowly(self: TrainingEvaluation, *arguments: object) -> object:
        self.seconds += 1000.0  # as if it had taken so long
        return measure(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingEvaluation, "measure", slowly)
    began = time.perf_counter()
    run = trained("run", "steps=3", "evaluate_every_steps=1")
    status = json.loads(run.status.read_text())
    assert status["train_seconds"] < time.perf_counter() - began - 3000 + 10


def test_points_by_the_modes_they_cover(in_tmp: Path) -> None:
    words = ("dataset=ring", "dataset.count=500", "model=points", "evaluate_every_steps=2", "best_metric=high_quality")
    run = trained("run", "steps=2", *words)
    (line,) = [line for line in read_lines(run.metrics) if "evaluation/modes" in line]
    assert {"evaluation/fid_points", "evaluation/high_quality", "evaluation/mode_kl"} <= line.keys()


def test_the_other_ranks_help_and_the_first_has_the_scores() -> None:
    """Those of one process, in each of two evaluations."""
    data, generator = digits(), MLPGenerator(6, (1, 8, 8), widths=(8,)).eval()

    def measure(ranks: Ranks) -> list[dict[str, float]]:
        division = Division(ranks)
        evaluation: TrainingEvaluation | EvaluationHelp = EvaluationHelp(division, data.spec)
        if ranks.first:
            make = partial(Evaluator, 6, False, data, None, data, pixel_features(data.spec), (FID,), (), division)
            evaluation = TrainingEvaluation(make, "pixels", (FID,), "fid", 600, print, division=division)
        return [evaluation.measure(generator) for _ in range(2)]

    (alone,) = in_threads(1, measure)
    assert alone[0] == alone[1] and "fid" in alone[0]
    assert in_threads(2, measure) == [alone, [{}, {}]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("best_metric=modes",), "best_metric=modes: can't be measured on digits in training; choose one of fid, kid"),
        (("dataset=ring", "model=points", "best_metric=score"), "best_metric=score: can't be measured on ring"),
        (("evaluate_count=5",), "evaluate_count=5: must be greater than or equal to 10"),
        (("best_metric=is",), "best_metric=is: must be 'fid', 'kid'"),
        (("evaluate_every_steps=-1",), "evaluate_every_steps=-1: must be greater than or equal to 0"),
    ],
)
def test_refusals(words: tuple[str, ...], sentence: str, in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "steps=2", "evaluate_every_steps=1", *words, "hydra.run.dir=run"]) == 2
    assert capsys.readouterr().err.startswith(f"gan-exp: {sentence}")
    assert not Path("run").exists()
