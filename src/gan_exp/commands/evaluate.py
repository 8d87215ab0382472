"""`gan-exp evaluate RUN`: how good a generator is, over several seeds, with the protocol beside the numbers."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import UserError, did_you_mean
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import short_name
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gan_exp.config.schema import Config
    from gan_exp.data.packed import PackedImages
    from gan_exp.evaluation.evaluator import Evaluator, Measurement


SECONDS_A_SEED = 2.0  # roughly, beside making samples and their features
METRICS = ("fid", "kid", "score", "manifolds", "classes", "modes", "neighbours", "discriminator")


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    runs = [RunDir.open(name) for name in options.runs]
    names = dict.fromkeys(short_name(run.path) for run in runs)
    say(f"evaluating {', '.join(names)}: loading the networks and the data")

    from gan_exp.commands.train import trust

    trust(options.trust)
    evaluator = RunEvaluator(options)
    reports = {}
    for run_dir in dict.fromkeys(run.path for run in runs):
        reports[run_dir] = evaluator.evaluate(RunDir(run_dir))
    if len(reports) > 1:
        _compare(reports)
    return 0


def _parser() -> Parser:
    parser = Parser("evaluate", "Measure a run's generator (the averaged one, where the run keeps an average).")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=f"{RUN_HELP}; of several a table compares the scores")
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--metrics", type=_metrics, metavar="M,M", help=(
        f"some of {', '.join(METRICS)} (default: all that the data allows)"
    ))  # fmt: skip
    parser.add_argument("--features", choices=("cnn", "inception", "pixels"), help=(
        "the space of the comparison: a classifier trained on the data (cnn), the network of published scores "
        "(inception, downloaded once), or pixels (default: cnn where there are labels)"
    ))  # fmt: skip
    parser.add_argument("--count", type=count_of(1), metavar="N", help=(
        "samples for each seed (default 10000; of points 2500, of stacked_mnist 26000, as published)"
    ))  # fmt: skip
    parser.add_argument("--seeds", type=count_of(1), default=5, metavar="K", help="seeds 0 to K - 1 (default 5)")
    parser.add_argument("--split", choices=("train", "held_out"), default="train", help=(
        "compare with the training images, as published scores do (default), or with those held out"
    ))  # fmt: skip
    parser.add_trust()
    return parser


def _metrics(text: str) -> list[str]:
    names = list(dict.fromkeys(filter(None, text.split(","))))
    for name in names:
        if name not in METRICS:
            raise argparse.ArgumentTypeError(f"{name}: no such metric; {did_you_mean(name, METRICS)}")
    if not names:
        raise argparse.ArgumentTypeError(f"names none; known are {', '.join(METRICS)}")
    return names


class Loaded(NamedTuple):
    """What is measured, and on what."""

    config: "Config"
    content: dict[str, Any]  # of the checkpoint
    device: "torch.device"
    generator: "nn.Module"
    data: "PackedImages"
    held_out: "PackedImages | None"


class RunEvaluator:
    """Measures one run after another; what runs on the same data have in common is done once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._evaluators: dict[tuple[Any, ...], Evaluator] = {}

    def evaluate(self, run_dir: RunDir) -> dict[str, Any]:
        """Measure, show, and write evaluation.json, the picture and TensorBoard's scalars."""
        from gan_exp.evaluation.evaluator import default_count
        from gan_exp.evaluation.report import summarise

        options, loaded = self._options, _load(run_dir, self._options.checkpoint)
        count = options.count or default_count(loaded.data)
        say(
            f"{short_name(run_dir.path)} at step {loaded.content['step']:,}: measuring {count:,} samples of each of "
            f"{options.seeds} seed{'s' * (options.seeds > 1)} against images of {loaded.config.dataset['name']}"
        )
        evaluator = self._evaluator(loaded)
        measurements = _measure(evaluator, loaded.generator, count, options.seeds)
        scores = summarise([one.scores for one in measurements])
        if options.metrics is None or "discriminator" in options.metrics:
            logits = _discriminator_logits(run_dir, loaded, options.checkpoint, measurements[0].samples)
            scores |= {name: {"mean": value, "sd": None, "values": [value]} for name, value in logits.items()}
        report = self._report(loaded, evaluator, count, scores)
        if evaluator.network.knows_classes and loaded.data.channel_data is None:
            report["classes"] = _classes(loaded.data, evaluator, measurements)
        _keep(run_dir, report, measurements[0], loaded.data)
        _show(run_dir, report)
        return report

    def _report(self, loaded: Loaded, evaluator: "Evaluator", count: int, scores: dict[str, Any]) -> dict[str, Any]:
        """The scores by their full names, beside the data's own, and the protocol."""
        from gan_exp.evaluation.evaluator import tag
        from gan_exp.evaluation.report import add_yardstick, describe_protocol
        from gan_exp.evaluation.yardstick import kept

        data, held_out, network, split = loaded.data, loaded.held_out, evaluator.network, self._options.split
        seeds = range(self._options.seeds)
        protocol = describe_protocol(_about(loaded.config), data, held_out, split, network, evaluator, count, seeds)
        metrics = {tag(name, network.name): value for name, value in scores.items()}
        if evaluator.metrics:
            what = (network.name, network.digest, data.digest, None if held_out is None else held_out.digest)
            yardstick = kept((what, split, count, evaluator.metrics), lambda: evaluator.yardstick(count))
            add_yardstick(metrics, yardstick, network.name)
            protocol["yardstick"] = {"what": yardstick.what, "images": yardstick.images}
        return {"format": 1, "step": loaded.content["step"], "metrics": metrics, "protocol": protocol}

    def _evaluator(self, loaded: Loaded) -> "Evaluator":
        """For what was asked, or all that the data allows; what it doesn't allow is told, with the remedy."""
        from gan_exp.evaluation.evaluator import Evaluator, missing_for
        from gan_exp.evaluation.features.choice import build_features, usual_features

        options, data, held_out = self._options, loaded.data, loaded.held_out
        reals = data if options.split == "train" else held_out
        if reals is None:
            raise UserError("--split held_out: this run trained on all of its images; train with dataset.held_out=0.1")
        features = options.features or usual_features(data)
        wanted = [metric for metric in options.metrics or METRICS if metric != "discriminator"]
        if options.metrics is None:
            missing = {metric: missing_for(metric, data, held_out, features, reals) for metric in wanted}
            wanted = [metric for metric in wanted if missing[metric] is None]
            for metric, reason in missing.items():
                if reason is not None and (metric == "neighbours" or "images to compare" in reason):
                    say(f"left out: {metric}, which {reason}")
        key = (data.digest, None if held_out is None else held_out.digest, features, str(loaded.device), options.split)
        if key not in self._evaluators:
            network = build_features(features, data, held_out, loaded.device, say)
            self._evaluators[key] = Evaluator(
                loaded.config.latent_dim, loaded.config.conditional, data, held_out, reals, network, wanted
            )
        return self._evaluators[key].for_run(loaded.config.latent_dim, loaded.config.conditional)


def _about(config: "Config") -> dict[str, Any]:
    return {
        "dataset": config.dataset["name"],
        "resize": config.dataset.get("resize"),
        "averaged_generator": config.ema_halflife_kimg > 0,
        "conditional": config.conditional,
    }


def _load(run_dir: RunDir, checkpoint: str | None) -> Loaded:
    """The run's generator (the averaged one, where there is one) and the data it was trained on."""
    from gan_exp.commands.sample import load_content, load_weights
    from gan_exp.runs.checkpoint import data_spec
    from gan_exp.runtime.device import prepare_device
    from gan_exp.training.build import build_data, build_generator, build_held_out

    config, content = load_content(run_dir, checkpoint)
    device = prepare_device(config.device)
    generator = build_generator(config, data_spec(content))
    load_weights(generator, content.get("generator_ema", content["generator"]), run_dir, checkpoint)
    data, held_out = build_data(config, device), build_held_out(config)
    if content.get("data_digest", data.digest) != data.digest:
        raise UserError(f"{run_dir.path}: the data has changed since the run began; bring back what it was trained on")
    return Loaded(config, content, device, generator.to(device), data, held_out)


def _measure(evaluator: "Evaluator", generator: "nn.Module", count: int, seeds: int) -> "list[Measurement]":
    """Of each seed, with a line after each one and how long the rest will take."""
    measured: list[Measurement] = []
    began = time.perf_counter()
    for seed in range(seeds):
        if seed == 0:
            say(f"this takes about {_span(seeds * (evaluator.seconds_a_sample(generator) * count + SECONDS_A_SEED))}")
        measured.append(evaluator.measure(generator, count, seed))
        rest = (time.perf_counter() - began) / (seed + 1) * (seeds - seed - 1)
        say(f"seed {seed + 1} of {seeds} measured" + (f", about {_span(rest)} to go" if rest else ""))
    return measured


def _span(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} minutes"


def _discriminator_logits(
    run_dir: RunDir, loaded: Loaded, checkpoint: str | None, samples: "torch.Tensor"
) -> dict[str, float]:
    from gan_exp.commands.sample import load_weights
    from gan_exp.evaluation.discriminator import measure_discriminator
    from gan_exp.runs.checkpoint import data_spec
    from gan_exp.training.build import build_discriminator

    discriminator = build_discriminator(loaded.config, data_spec(loaded.content))
    load_weights(discriminator, loaded.content["discriminator"], run_dir, checkpoint)
    discriminator = discriminator.to(loaded.device)
    config = loaded.config
    return measure_discriminator(discriminator, loaded.data, loaded.held_out, samples, config.pac, config.conditional)


def _classes(data: "PackedImages", evaluator: "Evaluator", measurements: "list[Measurement]") -> dict[str, Any]:
    """How often each class occurs in the data, and on average among the samples."""
    import torch

    from gan_exp.metrics.modes import count_labels

    counts = [count_labels(one.embedding.labels, data.spec.num_classes).double() for one in measurements]
    return {
        "names": list(data.classes),
        "data": evaluator.data_histogram(),
        "samples": torch.stack(counts).mean(dim=0).tolist(),
    }


def _keep(run_dir: RunDir, report: dict[str, Any], first: "Measurement", data: "PackedImages") -> None:
    """In the run's directory: what was measured, samples beside their neighbours, and points in TensorBoard."""
    from gan_exp.display.images import encode_png
    from gan_exp.display.pairs import neighbour_grid
    from gan_exp.runs.tensorboard import TensorBoardLog
    from gan_exp.runtime.files import json_text, write_atomically

    step, features = report["step"], report["protocol"]["features"]["name"]
    try:
        if first.nearest is not None and data.extent is None:
            picture = encode_png(neighbour_grid(first.samples, data.images, first.nearest))
            write_atomically(run_dir.neighbours(step, features), picture)
            report["neighbours"] = run_dir.neighbours(step, features).name
        write_atomically(run_dir.evaluation(step, features), json_text(report, indent=2) + "\n")
        metrics = report["metrics"].items()
        finite = {f"evaluation/{name}": value["mean"] for name, value in metrics if value["mean"] is not None}
        log = TensorBoardLog(run_dir.tensorboard)
        log.add_scalars(finite, step)
        log.close()
    except OSError as error:
        raise UserError(f"{run_dir.path}: can't be written ({error.strerror or error}); make it writable") from error


def _show(run_dir: RunDir, report: dict[str, Any]) -> None:
    from gan_exp.display.console import make_console
    from gan_exp.display.evaluation_table import class_table, protocol_line, score_table, yardstick_line

    console = make_console()
    console.print(score_table(report, f"{short_name(run_dir.path)} at step {report['step']:,}"))
    if len(report.get("classes", {}).get("names", ())) in range(1, 31):
        console.print(class_table(report["classes"]))
    if "yardstick" in report["protocol"]:
        say(yardstick_line(report))
    say(protocol_line(report))
    step, features = report["step"], report["protocol"]["features"]["name"]
    say(f"written: {path_from_here(run_dir.evaluation(step, features))}")
    if "neighbours" in report:
        say(f"samples beside their nearest: {path_from_here(run_dir.neighbours(step, features))}")


def _compare(reports: dict[Path, dict[str, Any]]) -> None:
    from gan_exp.display.console import make_console
    from gan_exp.display.evaluation_table import comparison_tables

    console = make_console()
    named = {short_name(path): report for path, report in reports.items()}
    for table in comparison_tables(named, console.width):
        console.print()
        console.print(table)
