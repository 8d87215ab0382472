"""The loop: a resumed run is the run never stopped, and what it tells is what happened."""

import io
import json
import math
import os
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from builders import assert_same, in_each_step, logged_lines, make_config, read_lines, small_config
from gan_exp.cli import main
from gan_exp.config.catalog import defaults, groups
from gan_exp.config.check import check
from gan_exp.config.schema import Config
from gan_exp.data.packed import Batch, Batches, DataSpec, PackedImages
from gan_exp.display.images import scatter_plot
from gan_exp.errors import TrainingFault, UserError
from gan_exp.losses import Hinge
from gan_exp.runs import tensorboard as tensorboard_module
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.tensorboard import LAYOUT, TensorBoardLog, hyperparameters
from gan_exp.runtime.files import write_atomically
from gan_exp.runtime.randomness import Streams
from gan_exp.runtime.signals import Interrupted
from gan_exp.schedules import Cosine
from gan_exp.training import grid as grid_module
from gan_exp.training import run_log as run_log_module
from gan_exp.training import session as session_module
from gan_exp.training import step as step_module
from gan_exp.training import trainer as trainer_module
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.session import continue_run, start_run
from gan_exp.training.state import TrainingState
from gan_exp.training.step import UpdateInputs, update_discriminator
from gan_exp.training.trainer import Trainer
from setups import discriminator_step, generator_step

CPU = torch.device("cpu")
RHYTHM = ("steps=11", "log_every_steps=4", "sample_every_steps=3", "checkpoint_every_steps=5", "keep_checkpoints=3")


def play(config: Config, directory: Path | str, stops: Collection[int], monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Train in `directory`, interrupted by Ctrl-C in each step of `stops` and resumed each time."""

    def interrupt(state: TrainingState) -> None:
        if state.step + 1 in stops:
            signal.raise_signal(signal.SIGINT)

    undo = in_each_step(monkeypatch, interrupt)
    go_on: Callable[[], None] = lambda: start_run(config, str(directory))  # noqa: E731
    for stop in sorted(stops):
        with pytest.raises(Interrupted) as ended:
            go_on()
        assert ended.value.exit_code == 130
        run = RunDir.open(str(directory))
        status = run.read_status()
        assert (status["state"], status["step"], status["reason"]) == ("interrupted", stop, "SIGINT")
        go_on = lambda: locked_continue(config, run)  # noqa: E731, B023
    undo()
    go_on()
    run = RunDir.open(str(directory))
    assert run.read_status()["state"] == "finished"
    return run


def locked_continue(config: Config, run: RunDir) -> None:
    with run.locked():
        continue_run(config, run)


def assert_same_run(first: RunDir, second: RunDir) -> None:
    """Checkpoint, metrics and pictures, bit by bit."""
    step, newest = first.list_checkpoints()[-1]
    assert second.list_checkpoints()[-1][0] == step
    assert_same(load_checkpoint(newest), load_checkpoint(second.checkpoint(step)))
    lines, others = read_lines(first.metrics), read_lines(second.metrics)
    for line in (*lines, *others):
        assert line.pop("progress/images_per_sec", 1) > 0
    assert lines == others
    grids = [path for _, path in first.list_sample_grids()]
    assert [path.name for path in grids] == [path.name for _, path in second.list_sample_grids()]
    for path in (*grids, first.animation):
        assert path.read_bytes() == (second.samples / path.name).read_bytes(), path.name


GAMES = [
    ("mlp", "penalty=r1", "schedule=cosine"),
    ("mlp", "sampling=with_replacement", "split_updates=true", "inference_fakes=true", "optimizer=keras_adam"),
    ("mlp", "n_critic=2", "schedule=linear", "optimizer=rmsprop", "ema_halflife_kimg=0", "batch_size=200"),
    ("dcgan", "n_critic=2", "penalty=r1", "schedule=cosine", "ema_halflife_kimg=0.05"),
    ("dcgan", "sampling=with_replacement", "loss=hinge", "optimizer=adamw", "dataset.resize=[9,12]"),
    ("dcgan", "loss=minimax", "optimizer=sgd", "lr=0.02", "split_updates=true"),
    ("mlp", "loss=lsgan", "conditional=true", "ema_halflife_kimg=0.05"),
    ("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "instance_noise=0.1", "n_critic=2"),
    ("r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "conditional=true", "augment=diffaugment"),
    ("dcgan", "augment=pipeline", "schedule=augment_ramp", "augment.p=0.9", "loss=rpgan"),
    ("mlp", "pac=2", "loss=wgan", "loss.clip=0.05", "n_critic=3", "optimizer=rmsprop"),
    ("resnet", "spectral_norm=true", "loss=hinge", "conditional=true", "n_critic=2"),
    ("mlp", "penalty=wgan_gp", "penalty.every=3", "n_critic=2", "loss=rpgan"),
    ("mlp", "penalty=dragan", "penalty.every=4", "schedule=cosine", "loss.label_smoothing=0.1"),
    ("points", "dataset=ring", "dataset.count=500", "pac=2", "loss=rpgan", "penalty=r1_r2", "latent_dim=2"),
]


def test_every_option_is_in_one_of_the_games() -> None:
    """So that a new one comes with its test of resuming."""
    tried = {word for game in GAMES for word in game} | {f"model={game[0]}" for game in GAMES}
    for group in ("model", "loss", "penalty", "augment", "optimizer", "schedule"):
        for option in groups()[group].keys() - {defaults()[group]}:
            assert f"{group}={option}" in tried


@pytest.mark.slow
@pytest.mark.parametrize("overrides", GAMES, ids="-".join)
def test_a_resumed_run_is_one_never_stopped(
    overrides: tuple[str, ...], in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the first step, between logging steps, at one, at a checkpoint, and just before the end."""
    config = small_config(*overrides, *RHYTHM)
    whole = play(config, "whole", (), monkeypatch)
    assert_same_run(whole, play(config, "stopped", (1, 4, 5, 6, 10), monkeypatch))
    assert [step for step, _ in whole.list_checkpoints()] == [5, 10, 11]


def test_adas_p_is_saved_and_shown(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("augment=ada", "augment.every=2", "augment.images_to_one=1000", "augment.start_p=0.5", "n_critic=2")
    config = small_config("mlp", *RHYTHM, *words, "augment.target=0.999")
    run = play(config, "run", (), monkeypatch)  # no D is as sure as that: p falls by 32 / 1000 a step
    lines = logged_lines(run.metrics)
    shown = [line["augment/p"] for line in lines]
    assert shown == pytest.approx([0.5 - 0.032 * line["step"] for line in lines], abs=1e-6)
    assert load_checkpoint(run.checkpoint(11))["augment"]["p"].item() == pytest.approx(0.5 - 0.032 * 11, abs=1e-6)
    events = read_events(run).Scalars("augment/p")
    assert [(event.step, event.value) for event in events] == [
        (line["step"], float(np.float32(line["augment/p"]))) for line in lines
    ]


def test_a_lazy_penalty_comes_at_every_kth_update_k_times_as_strong(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []

    def noted(state: Any, step_config: Any, inputs: UpdateInputs, *rest: Any) -> Any:
        report = update_discriminator(state, step_config, inputs, *rest)
        assert (report.penalty is None) == (inputs.penalty_weight == 0)
        weights.append(inputs.penalty_weight)
        return report

    monkeypatch.setattr(step_module, "update_discriminator", noted)
    start_run(small_config("mlp", "steps=5", "n_critic=2", "penalty=r1", "penalty.every=4"), "run")
    assert weights == [4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0, 0]
    weights.clear()
    start_run(small_config("mlp", "steps=4", "penalty=r1_r2", "penalty.every=2", "schedule=r3gan"), "other")
    assert weights == pytest.approx([2.0, 0, 2 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2), 0])


def test_the_average_has_the_configured_half_life_and_ramp_up(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes of R3GAN have their schedule alone; a run from before there was a key goes on with a twentieth."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(trainer_module.TrainingState, "update_ema", lambda self, *words: asked.append(words))
    start_run(small_config("mlp", "steps=1", "ema_halflife_kimg=2", "ema_ramp_up=null"), "run")
    start_run(small_config("mlp", "steps=1", "ema_halflife_kimg=2", "ema_ramp_up=0.3"), "other")
    assert asked == [(2000, 16, None), (2000, 16, 0.3)]
    older = small_config("mlp").model_dump(mode="json")
    del older["ema_ramp_up"]
    assert check(older).ema_ramp_up == 0.05
    assert make_config("experiment=r3gan_mnist").ema_ramp_up is None
    assert make_config("experiment=r3gan_cifar10").ema_ramp_up is None


def test_the_four_schedules_of_r3gan(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each a cosine over the run: lr to a quarter, beta2 from 0.9 to 0.99, the half-life from nothing."""
    seen: list[tuple[float, float]] = []
    halflives: list[float] = []

    def note(state: TrainingState) -> None:
        (group,) = state.generator_optimizer.param_groups
        seen.append((group["lr"], group["betas"][1]))

    in_each_step(monkeypatch, note)
    monkeypatch.setattr(
        trainer_module.TrainingState, "update_ema", lambda self, halflife, batch, ramp: halflives.append(halflife)
    )
    betas = [f"optimizer.{network}.betas=[0.0,0.9]" for network in ("generator", "discriminator")]
    words = ("steps=4", "schedule=r3gan", "lr=1e-3", "ema_halflife_kimg=2")
    start_run(small_config("mlp", *words, *betas), "run")
    falls = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert [lr for lr, _ in seen] == pytest.approx([1e-3 * (0.25 + 0.75 * fall) for fall in falls])
    assert [beta2 for _, beta2 in seen] == pytest.approx([0.9 * (1.1 - 0.1 * fall) for fall in falls])
    assert halflives == pytest.approx([2000 * (1 - fall) for fall in falls])


@pytest.mark.parametrize("augment", ["pipeline", "diffaugment"])
def test_a_scheduled_p_rises_along_its_cosine_and_is_logged(
    augment: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in R3GAN: from 0 to the configured value, whatever the loss."""
    seen: list[float] = []

    def note(state: TrainingState) -> None:
        assert state.augment is not None
        seen.append(state.augment.p.item())  # type: ignore[operator, union-attr]

    in_each_step(monkeypatch, note)
    words = (f"augment={augment}", "augment.p=0.55", "schedule=augment_ramp", "loss=wgan")
    start_run(small_config("mlp", "steps=4", "log_every_steps=1", *words), "run")
    rises = [0.55 * (1 - math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert seen == pytest.approx(rises)
    assert [line["augment/p"] for line in logged_lines(RunDir("run").metrics)] == pytest.approx(rises)


@pytest.mark.parametrize("words", [(), ("conditional=true",), ("loss=rpgan",)])
def test_no_batch_is_passed_over(words: tuple[str, ...], in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own batch for G too, an epoch is whole: each image once."""
    drawn: list[int] = []
    original = Batches.draw

    def noted(self: Batches, number: int) -> Batch:
        drawn.append(number)
        return original(self, number)

    monkeypatch.setattr(Batches, "draw", noted)
    start_run(small_config("mlp", "steps=4", "n_critic=3", *words), "run")
    assert drawn == list(range(16 if words else 12))


def test_a_clock_that_was_set_back(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut without a battery: TensorBoard, which reads files by their names, must not mix them up."""
    config = small_config("mlp", *RHYTHM)
    run = play(config, "run", (), monkeypatch)
    for step in (10, 11):
        run.checkpoint(step).unlink()
    monkeypatch.setattr(tensorboard_module.time, "time", lambda: 1000.0)
    locked_continue(config, run)
    accumulator = read_events(run)
    for tag in accumulator.Tags()["scalars"]:
        expected = [4, 8, 11] if tag in SCALARS | BALANCE else [0, 3, 6, 9, 11][tag == "samples/change" :]
        assert [event.step for event in accumulator.Scalars(tag)] == expected, tag


def test_a_killed_run_goes_on_from_its_last_checkpoint(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had logged beyond that is written again, not twice."""
    config = small_config("mlp", *RHYTHM)
    whole = play(config, "whole", (), monkeypatch)
    killed = play(config, "killed", (), monkeypatch)
    for step in (10, 11):
        killed.checkpoint(step).write_bytes(killed.checkpoint(step).read_bytes()[:1000])
    with killed.metrics.open("a") as metrics:
        metrics.write('{"step": 11, "loss/disc')  # the end of a line that never reached the disk
    continue_run(config, killed)
    assert_same_run(whole, killed)
    assert killed.log.read_text().count("skipped: ") == 2
    accumulator = read_events(killed)
    for tag in accumulator.Tags()["scalars"]:
        expected = [4, 8, 11] if tag in SCALARS | BALANCE else [0, 3, 6, 9, 11][tag == "samples/change" :]
        assert [event.step for event in accumulator.Scalars(tag)] == expected, tag


def test_a_run_goes_on_for_longer(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as no schedule looks at the end, it is the longer run from the start."""
    play(small_config("mlp", *RHYTHM, "steps=8"), "run", (), monkeypatch)
    longer = small_config("mlp", *RHYTHM, "steps=12")
    run = RunDir.open("run")
    continue_run(longer, run)
    whole = play(longer, "whole", (), monkeypatch)
    assert_same(load_checkpoint(run.checkpoint(12)), load_checkpoint(whole.checkpoint(12)))
    assert [line["step"] for line in logged_lines(run.metrics)] == [4, 8, 12]


def largest(reports: list[dict[str, list[float]]], network: str) -> float:
    return max(norm for report in reports for norm in report[f"gradient_norm/{network}"])


def test_metrics_are_means_over_the_window(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the loop written out by hand."""
    config = small_config(
        "mlp", "steps=7", "log_every_steps=3", "n_critic=2", "penalty=r1", "schedule=cosine", "lr=0.01"
    )
    run = play(config, "run", (), monkeypatch)
    data = build_data(config, CPU)
    state, step_config = build_state(config, data.spec, CPU), build_step_config(config)
    batches, streams = Batches(data, config.batch_size, config.sampling, config.seed), Streams(config.seed)
    reports: list[dict[str, list[float]]] = []
    expected = []
    for step in range(7):
        state.scale_optimizers(Cosine()(step / 7), 1.0)
        report: dict[str, list[float]] = {}
        for k in range(2):
            latents = streams.latents(step, f"discriminator/{k}", 16, 8)
            found = discriminator_step(state, step_config, batches.draw(2 * step + k), latents, measured=True)
            assert found.penalty is not None
            report.setdefault("loss/discriminator", []).append(found.loss.item())
            report.setdefault("penalty/r1", []).append(found.penalty.item())
            report.setdefault("accuracy/real", []).append(float(np.mean(found.real_logits.numpy() > 0)))
            report.setdefault("accuracy/fake", []).append(float(np.mean(found.fake_logits.numpy() <= 0)))
            assert found.gradient_norms is not None
            report.setdefault("gradient_norm/discriminator", []).append(found.gradient_norms.item())
        loss, norm = generator_step(state, step_config, streams.latents(step, "generator", 16, 8), measured=True)
        assert norm is not None
        report["loss/generator"], report["gradient_norm/generator"] = [loss.item()], [norm.item()]
        state.step += 1
        state.update_ema(config.ema_halflife_kimg * 1000, config.batch_size, config.ema_ramp_up)
        reports.append(report)
        if step + 1 in (3, 6, 7):
            means = {tag: float(np.mean([r[tag] for r in reports])) for tag in report}
            expected.append(
                {
                    "step": step + 1,
                    **means,
                    **{f"gradient_norm_max/{name}": largest(reports, name) for name in ("discriminator", "generator")},
                    "accuracy/discriminator": (means["accuracy/real"] + means["accuracy/fake"]) / 2,
                    "learning_rate/discriminator": 0.005 * (1 + math.cos(math.pi * step / 7)),
                    "learning_rate/generator": 0.005 * (1 + math.cos(math.pi * step / 7)),
                    "progress/kimg": (step + 1) * 32 / 1000,
                }
            )
            reports.clear()
    lines = logged_lines(run.metrics)
    for line in lines:
        del line["progress/images_per_sec"]
    assert len(lines) == len(expected) == 3
    for line, by_hand in zip(lines, expected, strict=True):
        assert line == pytest.approx(by_hand, rel=1e-5)
    saved = load_checkpoint(run.checkpoint(7))
    assert_same({key: saved[key] for key in state.state_dict()}, state.state_dict())
    status = run.read_status()
    assert status["step"] == 7 and status["metrics"]["loss/generator"] == lines[-1]["loss/generator"]


def read_events(run: RunDir) -> EventAccumulator:
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    accumulator = EventAccumulator(str(run.tensorboard), size_guidance=everything)
    accumulator.Reload()
    return accumulator


SCALARS = {
    "loss/discriminator",
    "loss/generator",
    "accuracy/discriminator",
    "accuracy/real",
    "accuracy/fake",
    "penalty/r1",
    "gradient_norm/discriminator",
    "gradient_norm/generator",
    "gradient_norm_max/discriminator",
    "gradient_norm_max/generator",
    "learning_rate/discriminator",
    "learning_rate/generator",
    "progress/images_per_sec",
    "progress/kimg",
}


BALANCE = {"loss_balance/discriminator", "loss_balance/generator"}
SAMPLES = ("spread", "distance", "variety", "classes", "duplicates", "copies", "change", "texture")
EVIDENCE = {f"samples/{name}" for name in SAMPLES}  # of each grid


def test_tensorboard_holds_what_the_run_was(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back after two interruptions: every tag, no point twice, the numbers of metrics.jsonl."""
    config = small_config("mlp", *RHYTHM, "penalty=r1", "grid_rows=2", "grid_columns=3")
    run = play(config, "run", (2, 7), monkeypatch)
    accumulator, lines = read_events(run), read_lines(run.metrics)
    tags = accumulator.Tags()
    assert set(tags["scalars"]) == SCALARS | EVIDENCE | BALANCE
    assert all(set(line) == SCALARS | {"step"} for line in logged_lines(run.metrics))
    for tag in SCALARS | EVIDENCE:
        points = [(event.step, event.value) for event in accumulator.Scalars(tag)]
        assert points == [(line["step"], float(np.float32(line[tag]))) for line in lines if tag in line], tag

    losses = [event.step for event in accumulator.Scalars("loss/generator")]
    for network, balance in (("discriminator", 2 * math.log(2)), ("generator", math.log(2))):
        points = accumulator.Scalars(f"loss_balance/{network}")
        assert [(point.step, point.value) for point in points] == [
            (step, float(np.float32(balance))) for step in losses
        ]
        assert f"{balance:.4f} is the loss where" in accumulator.SummaryMetadata(f"loss/{network}").summary_description

    assert set(tags["images"]) == {"samples", "samples/real_images"}
    (reals,) = accumulator.Images("samples/real_images")
    assert reals.step == 0
    images = accumulator.Images("samples")
    assert [image.step for image in images] == [0, 3, 6, 9, 11]
    for image in images:
        assert image.encoded_image_string == run.sample_grid(image.step).read_bytes()
        picture = Image.open(io.BytesIO(image.encoded_image_string))
        assert picture.size == (image.width, image.height) and picture.mode == "L"

    assert set(tags["histograms"]) == {"logits/real", "logits/fake"}
    for tag in tags["histograms"]:
        histograms = accumulator.Histograms(tag)
        assert [histogram.step for histogram in histograms] == [3, 6, 9, 11]
        assert all(histogram.histogram_value.num == config.batch_size for histogram in histograms)

    (text,) = accumulator.Tensors("config/text_summary")
    shown = text.tensor_proto.string_val[0].decode()
    assert [line.removeprefix("    ") for line in shown.splitlines()] == run.config.read_text().splitlines()

    layout = layout_pb2.Layout()
    layout.ParseFromString(accumulator.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert charts["loss of D"] == ["loss/discriminator", "loss_balance/discriminator"]
    assert {tag for chart in charts.values() for tag in chart} <= SCALARS | BALANCE and len(charts) == len(LAYOUT)

    hparams = accumulator.PluginTagToContent("hparams")
    assert set(hparams) == {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"}
    start = plugin_data_pb2.HParamsPluginData()
    start.ParseFromString(hparams["_hparams_/session_start_info"])
    values = start.session_start_info.hparams
    assert values["lr"].number_value == config.lr and values["loss"].string_value == "NonSaturating"
    assert values["batch_size"].number_value == 16 and values["penalty.gamma"].number_value == 0.1
    assert "optimizer.generator.lr" not in values  # the same again
    experiment = plugin_data_pb2.HParamsPluginData()
    experiment.ParseFromString(hparams["_hparams_/experiment"])
    metrics = {info.name.tag for info in experiment.experiment.metric_infos}
    assert {tag for tag in metrics if not tag.startswith("evaluation/")} <= SCALARS
    assert "evaluation/fid_cnn" in metrics  # which an evaluation fills in, in training or later


def test_a_learning_rate_of_its_own_is_a_hyperparameter() -> None:
    found = hyperparameters(small_config("mlp", "lr=1e-3", "optimizer.generator.lr=1e-4").model_dump())
    assert found["lr"] == 1e-3 and found["optimizer.generator.lr"] == 1e-4
    assert "optimizer.discriminator.lr" not in found


def test_a_loss_without_a_balance_has_no_curve_of_it(in_tmp: Path) -> None:
    log = TensorBoardLog(Path("events"), balance=Hinge.balance)
    log.add_scalars({"loss/discriminator": 1.5, "loss/generator": 0.5}, 1)
    log.close()
    accumulator = EventAccumulator("events").Reload()
    assert set(accumulator.Tags()["scalars"]) == {"loss/discriminator", "loss/generator", "loss_balance/discriminator"}
    assert accumulator.Scalars("loss_balance/discriminator")[0].value == 2


@pytest.mark.parametrize("values", [[1e8, 1e8 + 8], [3.0, 3.0], [-1e30, 1e30], [1.0, 1.0 + 2**-23]])
def test_histograms_of_any_floats(values: list[float], in_tmp: Path) -> None:
    """In float32 there would be too many bins between two such neighbours."""
    log = TensorBoardLog(Path("events"))
    log.add_histogram("logits/real", torch.tensor(values), 1)
    log.close()
    (found,) = EventAccumulator("events").Reload().Histograms("logits/real")
    assert found.histogram_value.num == len(values) and found.histogram_value.max == np.float32(values[-1])


def test_a_part_that_tensorboard_cannot_take_leaves_the_others_alone(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One histogram and the hyperparameters fail: each is told once by its name, and all else is there."""
    original = TensorBoardLog.add_histogram

    def too_many_bins(log: TensorBoardLog, tag: str, values: torch.Tensor, step: int) -> None:
        if tag == "logits/real":
            raise ValueError("Too many bins for data range")
        original(log, tag, values, step)

    monkeypatch.setattr(TensorBoardLog, "add_histogram", too_many_bins)
    monkeypatch.setattr(tensorboard_module, "hparams", too_many_bins)
    start_run(small_config("mlp", *RHYTHM), "run")
    run = RunDir.open("run")
    tags = read_events(run).Tags()
    assert tags["histograms"] == ["logits/fake"] and {"samples", "samples/real_images"} == set(tags["images"])
    assert SCALARS - {"penalty/r1"} <= set(tags["scalars"])
    assert {"custom_scalars__config__", "config/text_summary"} <= set(tags["tensors"])
    told = run.log.read_text()
    for what in ("logits/real", "hyperparameters"):
        assert told.count(f"warning: TensorBoard's {what} can't be written any more (") == 1
    assert told.count("warning: ") == 2


def test_real_images_lie_beside_the_samples(in_tmp: Path) -> None:
    """Of the same classes, row by row, in a conditional game."""
    config = small_config("mlp", *RHYTHM, "conditional=true", "grid_rows=3", "grid_columns=2")
    start_run(config, "run")
    (event,) = read_events(RunDir.open("run")).Images("samples/real_images")
    Path("reals.png").write_bytes(event.encoded_image_string)
    shown = shown_images(Path("reals.png"), 3, 2)
    data = build_data(config, CPU)
    assert data.labels is not None
    for row in range(3):
        of_class = data.images[data.labels == row, 0].numpy()
        for image in shown[row]:
            assert (of_class == image).all(axis=(1, 2)).any()


def diverging(*overrides: str) -> Config:
    """Plain gradient descent with steps the size of the universe."""
    return small_config("mlp", "optimizer=sgd", "loss=lsgan", "lr=1e25", *overrides)


def test_a_game_that_diverges_ends_as_failed(in_tmp: Path) -> None:
    """The step is that of the first loss that is no longer finite, however much later someone looks."""
    tensors = r"\w+\.layers\.0\.weight and the gradient of \w+\.layers\.0\.weight hold such values"
    sign = rf"step 1: loss/\w+ is (nan|inf); {tensors}: training has diverged"
    with pytest.raises(TrainingFault, match=sign):
        start_run(diverging("steps=20", "log_every_steps=4"), "run")
    run = RunDir.open("run")
    status = run.read_status()
    assert status["state"] == "failed" and status["step"] == 1
    assert "optimizer.discriminator.lr=1e+25 is far above" in status["reason"] and status["reason"].endswith(
        "try lr=0.02"
    )
    assert [step for step, _ in run.list_checkpoints()] == [0] and logged_lines(run.metrics) == []


def test_losses_that_are_finite_and_absurd_are_a_divergence(in_tmp: Path) -> None:
    """Before the first checkpoint that would hold them, in the step in which they showed."""
    step_config = ("loss=wgan", "loss.clip=null", "lr=1e7")  # Adam brings each weight to 1e7 in the first step
    config = small_config("mlp", *step_config, "steps=30", "log_every_steps=30", "checkpoint_every_steps=1")
    with pytest.raises(TrainingFault, match=r"step \d+: .*beyond 1.8e\+19: training has diverged \(last"):
        start_run(config, "run")
    run = RunDir.open("run")
    status = run.read_status()
    assert status["state"] == "failed" and f"step {status['step']}: " in status["reason"]
    (verdict,) = status["doctor"]
    assert verdict["since"] == status["step"] > run.list_checkpoints()[-1][0]


def test_a_lazy_penalty_is_in_the_gradients_norms(in_tmp: Path) -> None:
    """Of a few updates, none of which is the one at which someone looks."""
    config = small_config("mlp", "steps=40", "log_every_steps=20", "penalty=r1", "penalty.every=8", "penalty.gamma=1e4")
    start_run(config, "run")
    first, second = logged_lines(RunDir.open("run").metrics)
    for line in (first, second):
        norm, largest = (line[f"{tag}/discriminator"] for tag in ("gradient_norm", "gradient_norm_max"))
        assert largest > 4 * norm and norm > 1.5 * line["gradient_norm/generator"]


@pytest.mark.slow
@pytest.mark.parametrize("sample_every_steps", [4, 5])
def test_the_last_checkpoint_is_from_before_the_divergence(
    sample_every_steps: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where checkpoints and grids come more often than anyone looks at the losses."""
    rhythm = ("log_every_steps=30", f"sample_every_steps={sample_every_steps}", "checkpoint_every_steps=2")
    config = small_config("mlp", "steps=30", *rhythm)

    def poison(state: TrainingState) -> None:
        if state.step == 6:
            state.generator_parameters[0].data[0, 0] = math.nan

    undo = in_each_step(monkeypatch, poison)
    with pytest.raises(TrainingFault, match=r"step 7: .*no longer finite.*\(last good checkpoint: step 6\)"):
        start_run(config, "run")
    run = RunDir.open("run")
    assert run.list_checkpoints()[-1][0] == 6 and run.list_sample_grids()[-1][0] == sample_every_steps
    content = load_checkpoint(run.checkpoint(6))
    assert all(value.isfinite().all() for value in content["generator"].values())
    assert run.read_status()["state"] == "failed"
    undo()
    continue_run(config, run)  # where it was whole
    assert run.read_status()["state"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("seen_by", ["log", "sample", "checkpoint"])
def test_a_broken_gradient_is_named(
    network: str, value: float, seen_by: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first that looks, in its step, while losses and weights are finite still."""

    train_step = Trainer._train_step

    def poisoned(trainer: Trainer) -> Any:
        report = train_step(trainer)
        if trainer.state.step == 3:
            getattr(trainer.state, f"{network}_parameters")[2].grad[0] = value
            if seen_by == "log":  # where the norm was measured, too
                measured = trainer.running_means._waiting[-1]
                if network == "generator":
                    trainer.running_means._waiting[-1] = measured._replace(generator_gradient_norm=torch.tensor(value))
                else:
                    broken = report._replace(gradient_norms=torch.tensor([value]))
                    trainer.running_means._waiting[-1] = measured._replace(discriminator=[broken])
        return report

    monkeypatch.setattr(Trainer, "_train_step", poisoned)
    rhythm = [f"{what}_every_steps={3 if what == seen_by else 50}" for what in ("log", "sample", "checkpoint")]
    tensor = rf"the gradient of {network}\.layers\.\d\.weight"
    with pytest.raises(
        TrainingFault, match=rf"step 3: .*; {tensor} holds such values.*last good checkpoint: step 0.*try"
    ):
        start_run(small_config("mlp", "steps=20", *rhythm), "run")
    assert RunDir.open("run").read_status()["state"] == "failed"


def test_a_failed_run_has_exit_code_1(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["steps=4", "log_every_steps=1", "batch_size=4", "display=quiet", "device=cpu", "hydra.run.dir=run"]
    step_config = ["optimizer=sgd", "loss=lsgan", "lr=1e25"]
    widths = ["model.generator.widths=[4]", "model.discriminator.widths=[4]"]
    assert main(["train", *run, *step_config, *widths]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "training has diverged" in error
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"


def test_an_unforeseen_fault_is_told_in_a_sentence_and_kept_in_the_log(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of a kind that nobody thought of")

    in_each_step(monkeypatch, fail)
    with pytest.raises(TrainingFault, match=r"ZeroDivisionError: of a kind .*the traceback is in .*log\.txt"):
        start_run(small_config("mlp", *RHYTHM), "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "failed" and "Traceback" in run.log.read_text()


def test_a_full_disk_is_told_as_such(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer_module, "save_checkpoint", fail)
    with pytest.raises(TrainingFault, match=r"the disk is full.*No space left on device; make room.*gan-exp resume"):
        start_run(small_config("mlp", *RHYTHM), "run")


def test_a_second_signal_ends_at_once(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in the middle of a step; what was saved before is still there."""

    def lose_patience(state: TrainingState) -> None:
        if state.step == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    class Left(BaseException):
        """In the place of the process's end."""

    def leave(code: int) -> None:
        assert code == 130
        raise Left

    monkeypatch.setattr("gan_exp.runtime.signals.os._exit", leave)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    in_each_step(monkeypatch, lose_patience)
    with pytest.raises(Left):
        start_run(small_config("mlp", *RHYTHM), "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "interrupted" and run.list_checkpoints()[-1][0] == 5
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_saves_too(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(state: TrainingState) -> None:
        if state.step == 2:
            signal.raise_signal(signal.SIGTERM)

    in_each_step(monkeypatch, terminate)
    with pytest.raises(Interrupted) as ended:
        start_run(small_config("mlp", *RHYTHM), "run")
    assert ended.value.exit_code == 128 + signal.SIGTERM
    run = RunDir.open("run")
    assert run.list_checkpoints()[-1][0] == 3 and run.read_status()["reason"] == "SIGTERM"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "where", "step"),
    [(run_log_module, "encode_png", 0), (grid_module, "generate_all", 3), (run_log_module, "save_animation", 11)],
    ids=["encode_png-0", "generate_all-3", "save_animation-11"],
)
def test_a_signal_at_any_time(
    module: Any, where: str, step: int, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, while samples are drawn, after the last step: the state is saved, and it goes on."""
    config = small_config("mlp", *RHYTHM)
    whole = play(config, "whole", (), monkeypatch)
    original = getattr(module, where)
    calls = 0

    def asked(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (2 if step == 3 else 1):
            signal.raise_signal(signal.SIGUSR1)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, where, asked)
        if step == 11:  # nothing is left to be done
            start_run(config, "run")
        else:
            with pytest.raises(Interrupted) as ended:
                start_run(config, "run")
            assert ended.value.exit_code == 128 + signal.SIGUSR1
    run = RunDir.open("run")
    status = run.read_status()
    if step < 11:
        assert (status["state"], status["step"], status["reason"]) == ("interrupted", step, "SIGUSR1")
        assert run.list_checkpoints()[-1][0] == step
        locked_continue(config, run)
    assert_same_run(whole, run)


def test_a_signal_before_there_is_a_run(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """While it starts: nothing was done, and nothing is left behind."""

    def asked(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(session_module, "build_data", asked)
    assert main(["train", "display=quiet", "device=cpu"]) == 143
    assert "ended by SIGTERM; there was nothing to save" in capsys.readouterr().err
    assert not list(Path().glob("outputs/*/*"))


def test_a_configuration_that_no_longer_fits_is_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = play(small_config("mlp", *RHYTHM), "run", (), monkeypatch)
    wider = small_config("mlp", *RHYTHM, "model.generator.widths=[32]")
    with pytest.raises(UserError, match=r"model\.generator\.widths: can't change"):
        continue_run(wider, run)


def test_data_that_has_changed_is_refused(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shapes, other pixels, other labels; the same data read anew is the same."""
    config = small_config("mlp", *RHYTHM, "steps=20")
    run = play(config, "run", (12,), monkeypatch)
    data = build_data(config, CPU)
    assert data.labels is not None

    def refused(changed: PackedImages, sentence: str) -> None:
        monkeypatch.setattr(session_module, "build_data", lambda *_: changed)
        run.write_status("interrupted", 12)
        with pytest.raises(UserError, match=sentence):
            continue_run(config, run)

    was, now = "images of 8x8x1 in 10 classes", "images of 9x9x1 in 10 classes"
    refused(data.resized(9, 9), f"was trained on {was}, the data now is {now}; bring back")
    one_pixel = data.images.clone()
    one_pixel[700, 0, 3, 3] += 1
    changed = "the data has changed since the run began"
    refused(PackedImages(one_pixel, data.labels, data.classes), changed)
    refused(PackedImages(data.images, data.labels.roll(1), data.classes), changed)
    refused(PackedImages(data.images[:-1], data.labels[:-1], data.classes), changed)
    monkeypatch.setattr(session_module, "build_data", lambda *_: build_data(config, CPU))
    continue_run(config, run)


def test_one_process_at_a_time(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config("mlp", *RHYTHM)
    refused: list[str] = []

    def second_comes(state: TrainingState) -> None:
        if state.step == 5:
            with pytest.raises(UserError) as error:
                locked_continue(config, RunDir.open("run"))
            refused.append(str(error.value))

    in_each_step(monkeypatch, second_comes)
    start_run(config, "run")
    (told,) = refused
    assert f"process {os.getpid()} on " in told and "is training it" in told


def test_a_run_that_never_began_begins(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the first checkpoint, which is of step 0: nothing of what was written then comes twice."""
    config = small_config("mlp", *RHYTHM)
    whole = play(config, "whole", (), monkeypatch)

    def crash(*_: object) -> None:
        raise SystemExit

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for how, ending in ((crash, SystemExit), (full, TrainingFault)):
        with monkeypatch.context() as patched, pytest.raises(ending):
            patched.setattr(trainer_module, "save_checkpoint", how)
            start_run(config, how.__name__)
    assert RunDir.open("full").read_status()["state"] == "failed"
    run = RunDir.open("crash")
    assert not run.status.exists()
    run.environment.unlink()
    locked_continue(config, RunDir.open("full"))
    assert_same_run(whole, RunDir.open("full"))
    locked_continue(config, run)
    assert_same_run(whole, run)
    assert run.environment.exists()
    for accumulator in map(read_events, (whole, run)):
        assert [event.step for event in accumulator.Scalars("loss/generator")] == [4, 8, 11]
        assert len(accumulator.Tensors("config/text_summary")) == 1


def test_what_is_not_promised_may_fail(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids, TensorBoard and the preview: told once each, and the run is otherwise what it would have been."""
    config = small_config("mlp", *RHYTHM)
    whole = play(config, "whole", (), monkeypatch)
    original = write_atomically

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def unforeseen(*_: object) -> None:
        raise ZeroDivisionError("a terminal without columns")

    def no_grids(path: Path, *rest: Any, **options: Any) -> None:
        (fail if path.suffix == ".png" else original)(path, *rest, **options)

    monkeypatch.setattr(run_log_module, "write_atomically", no_grids)
    monkeypatch.setattr(run_log_module.TensorBoardLog, "_write", fail)
    monkeypatch.setattr(run_log_module.Display, "set_preview", unforeseen)
    start_run(config, "run")
    run = RunDir.open("run")
    assert run.read_status()["state"] == "finished"
    told = run.log.read_text()
    for what in ("the grid of samples", "TensorBoard's events", "the preview"):
        assert told.count(f"warning: {what} can't be written any more (") == 1, what
    assert_same(load_checkpoint(whole.checkpoint(11)), load_checkpoint(run.checkpoint(11)))


def test_out_of_memory_names_what_to_turn(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_each_step(monkeypatch, lambda _: torch.empty(1 << 55))
    with pytest.raises(TrainingFault, match=r"out of memory; train anew with a smaller batch_size \(now 16\)"):
        start_run(small_config("mlp", *RHYTHM), "run")


def test_grids_show_the_average_of_the_generator(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same latents in every grid, through the averaged generator in inference mode."""
    config = small_config("mlp", *RHYTHM, "lr=0.01", "grid_rows=2", "grid_columns=2")
    run = play(config, "run", (), monkeypatch)
    state = build_state(config, DataSpec((1, 8, 8), num_classes=10), CPU)
    state.load_state_dict(load_checkpoint(run.checkpoint(11)))
    latents = Streams(config.seed).latents(0, "grid", 4, config.latent_dim)
    with torch.no_grad():
        images = ((state.generator_ema.eval()(latents) + 1) * 127.5).round().byte()[:, 0].numpy()
    shown = np.array(Image.open(run.sample_grid(11)))
    factor = shown.shape[0] // 17  # two images of eight pixels and the line between them
    shown = shown[::factor, ::factor]
    for index, (row, column) in enumerate(((0, 0), (0, 9), (9, 0), (9, 9))):
        np.testing.assert_array_equal(shown[row : row + 8, column : column + 8], images[index])
    with torch.no_grad():
        plain = ((state.generator.eval()(latents) + 1) * 127.5).round().byte()[:, 0].numpy()
    assert (plain != images).any()


def shown_images(path: Path, rows: int, columns: int) -> np.ndarray:
    """The 8x8 images of a grid [rows, columns, 8, 8]."""
    shown = np.array(Image.open(path))
    factor = shown.shape[1] // (9 * columns - 1)
    shown = np.pad(shown[::factor, ::factor], ((0, 1), (0, 1)))
    return shown.reshape(rows, 9, columns, 9).transpose(0, 2, 1, 3)[:, :, :8, :8]


def test_a_conditional_grid_has_a_class_to_each_row(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And begins anew after the last."""
    config = small_config("mlp", *RHYTHM, "conditional=true", "grid_rows=12", "grid_columns=3", "lr=0.01")
    run = play(config, "run", (), monkeypatch)
    state = build_state(config, DataSpec((1, 8, 8), num_classes=10), CPU)
    state.load_state_dict(load_checkpoint(run.checkpoint(11)))
    latents = Streams(config.seed).latents(0, "grid", 36, config.latent_dim)
    shown = shown_images(run.sample_grid(11), 12, 3)
    generator = state.generator_ema.eval()
    for row in range(12):
        with torch.no_grad():
            images, others = (
                ((generator(latents[3 * row : 3 * row + 3], torch.full((3,), label)) + 1) * 127.5).round().byte()
                for label in (row % 10, (row + 1) % 10)
            )
        np.testing.assert_array_equal(shown[row], images[:, 0].numpy())
        assert (images != others).any()


def test_points_are_shown_as_a_scatter_plot(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("dataset=ring", "dataset.count=200", "latent_dim=2", "steps=2", "lr=0.01")
    config = small_config("points", *words)
    run = play(config, "run", (), monkeypatch)
    content = load_checkpoint(run.checkpoint(2))
    assert (content["image_shape"], content["num_classes"], content["extent"]) == ([2, 1, 1], 8, 1.5)
    state = build_state(config, DataSpec((2, 1, 1), 8, 1.5), CPU)
    state.load_state_dict(content)
    with torch.no_grad():
        points = state.generator_ema.eval()(Streams(config.seed).latents(0, "grid", 2500, 2))
    np.testing.assert_array_equal(np.array(Image.open(run.sample_grid(2))), scatter_plot(points, 1.5)[0].numpy())
    assert run.animation.exists()
