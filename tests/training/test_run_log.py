"""The logged means, and TensorBoard's events read back."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from builders import assert_same, logged_lines, read_lines, small_config
from gan_exp.data.packed import Batches
from gan_exp.losses import Hinge
from gan_exp.runs import tensorboard as tensorboard_module
from gan_exp.runs.charts import LAYOUT
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.tensorboard import TensorBoardLog, hyperparameters
from gan_exp.runtime.randomness import Streams
from gan_exp.schedules import Cosine
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.session import start_run
from setups import discriminator_step, generator_step
from whole_runs import BALANCE, EVIDENCE, RHYTHM, SCALARS, read_events, train

CPU = torch.device("cpu")


def largest(reports: list[dict[str, list[float]]], network: str) -> float:
    return max(norm for report in reports for norm in report[f"gradient_norm/{network}"])


def test_metrics_are_means_over_the_logged_steps(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the loop written out by hand."""
    config = small_config(
        "mlp",
        "steps=7",
        "log_every_steps=3",
        "n_critic=2",
        "penalty=r1",
        "penalty.every=1",
        "schedule=cosine",
        "lr=0.01",
    )
    run = train(config, "run", (), monkeypatch)
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


def test_tensorboard_holds_the_whole_run(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back after two interruptions: every tag, no point twice, the numbers of metrics.jsonl."""
    config = small_config("mlp", *RHYTHM, "penalty=r1", "penalty.every=1", "grid_rows=2", "grid_columns=3")
    run = train(config, "run", (2, 7), monkeypatch)
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
        assert f"{balance:.4f} is the loss if" in accumulator.SummaryMetadata(f"loss/{network}").summary_description

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
    rows = {
        category.title: {chart.title: list(chart.multiline.tag) for chart in category.chart}
        for category in layout.category
    }
    assert rows == LAYOUT and rows["loss"]["loss of D"] == ["loss/discriminator", "loss_balance/discriminator"]
    assert {tag for charts in rows.values() for tags in charts.values() for tag in tags} <= SCALARS | BALANCE

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


def test_hyperparameters_are_named_after_what_was_chosen() -> None:
    """A group by its option or class, also where it is switched off; nothing as a number that is none."""
    found = hyperparameters(small_config("mlp", "conditional=true").model_dump())
    assert (found["model"], found["dataset"], found["loss"]) == ("mlp", "digits", "NonSaturating")
    assert found["penalty"] == found["augment"] == "none"
    assert found["conditional"] == "true" and found["spectral_norm"] == "false"
    assert not {"model.name", "dataset.resize", "log_every_steps"} & set(found)


def test_a_separate_learning_rate_is_a_hyperparameter() -> None:
    found = hyperparameters(small_config("mlp", "lr=1e-3", "optimizer.generator.lr=1e-4").model_dump())
    assert found["lr"] == 1e-3 and found["optimizer.generator.lr"] == 1e-4
    assert "optimizer.discriminator.lr" not in found


def test_a_loss_without_a_balance_has_no_curve_for_it(in_tmp: Path) -> None:
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
    """One histogram and the hyperparameters fail: one warning names each, and everything else is there."""
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
    log = run.log.read_text()
    for what in ("logits/real", "hyperparameters"):
        assert log.count(f"warning: TensorBoard's {what} can't be written any more (") == 1
    assert log.count("warning: ") == 2
