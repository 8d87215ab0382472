"""`gan-exp evaluate RUN`: how good a generator is, over several seeds, with the protocol beside the numbers."""

import argparse
from typing import TYPE_CHECKING, Any

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import UserError, did_you_mean
from gan_exp.run_dir import RunDir

if TYPE_CHECKING:
    from gan_exp.data.packed import PackedImages
    from gan_exp.evaluation.judge import Judge, Measurement


METRICS = ("fid", "kid", "score", "manifolds", "classes", "modes", "neighbours", "discriminator")


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    run_dir = RunDir.open(options.run)

    from gan_exp.commands.train import trust

    trust(options.trust)
    evaluate(run_dir, options)
    return 0


def _parser() -> Parser:
    parser = Parser("evaluate", "Measure a run's generator (the averaged one, where the run keeps an average).")
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
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


def evaluate(run_dir: RunDir, options: argparse.Namespace) -> None:
    """Measure, show, and write evaluation.json, the picture and TensorBoard's scalars."""
    from gan_exp.build import build_data, build_discriminator, build_generator, build_held_out
    from gan_exp.checkpoint import data_spec
    from gan_exp.commands.sample import load_content, load_weights
    from gan_exp.device import prepare_device
    from gan_exp.evaluation.discriminator import judge_discriminator
    from gan_exp.evaluation.features import build_features, usual_features
    from gan_exp.evaluation.judge import Judge, default_count, missing_for, tag
    from gan_exp.evaluation.report import describe_protocol, summarise

    config, content = load_content(run_dir, options.checkpoint)
    device = prepare_device(config.device)
    generator = build_generator(config, data_spec(content))
    load_weights(generator, content.get("generator_ema", content["generator"]), run_dir, options.checkpoint)
    generator = generator.to(device)
    data, held_out = build_data(config, device), build_held_out(config)
    if content.get("data_digest", data.digest) != data.digest:
        raise UserError(f"{run_dir.path}: the data has changed since the run began; bring back what it was trained on")
    reals = data if options.split == "train" else held_out
    if reals is None:
        raise UserError("--split held_out: this run trained on all of its images; train with dataset.held_out=0.1")
    features = options.features or usual_features(data)
    wanted = options.metrics or [metric for metric in METRICS if missing_for(metric, data, held_out, features) is None]
    judged = [metric for metric in wanted if metric != "discriminator"]
    network = build_features(features, data, held_out, device)
    judge = Judge(config, data, held_out, reals, network, judged)
    count = options.count or default_count(data)
    measurements = [judge.measure(generator, count, seed) for seed in range(options.seeds)]
    scores = summarise([one.scores for one in measurements])
    if "discriminator" in wanted:
        discriminator = build_discriminator(config, data_spec(content))
        load_weights(discriminator, content["discriminator"], run_dir, options.checkpoint)
        samples = measurements[0].samples
        logits = judge_discriminator(config, discriminator.to(device), data, held_out, samples)
        scores |= {name: {"mean": value, "sd": None, "values": [value]} for name, value in logits.items()}
    protocol = describe_protocol(config, data, held_out, options.split, network, judge, count, range(options.seeds))
    named = {tag(name, network.name): value for name, value in scores.items()}
    report = {"format": 1, "step": content["step"], "metrics": named, "protocol": protocol}
    if network.knows_classes and data.channel_data is None:
        report["classes"] = _classes(data, judge, measurements)
    _keep(run_dir, report, measurements[0], data)
    _show(run_dir, report)


def _classes(data: "PackedImages", judge: "Judge", measurements: "list[Measurement]") -> dict[str, Any]:
    """How often each class occurs in the data, and on average among the samples."""
    import torch

    from gan_exp.metrics.modes import count_labels

    counts = [count_labels(one.embedding.labels, data.spec.num_classes).double() for one in measurements]
    return {
        "names": list(data.classes),
        "data": judge.data_histogram(),
        "samples": torch.stack(counts).mean(dim=0).tolist(),
    }


def _keep(run_dir: RunDir, report: dict[str, Any], first: "Measurement", data: "PackedImages") -> None:
    """In the run's directory: what was measured, samples beside their neighbours, and points in TensorBoard."""
    import json

    from gan_exp.monitor.images import encode_png
    from gan_exp.monitor.pairs import neighbour_grid
    from gan_exp.monitor.tensorboard import TensorBoardLog
    from gan_exp.run_dir import write_atomically

    step, features = report["step"], report["protocol"]["features"]["name"]
    try:
        if first.nearest is not None and data.extent is None:
            picture = encode_png(neighbour_grid(first.samples, data.images, first.nearest))
            write_atomically(run_dir.neighbours(step, features), picture)
            report["neighbours"] = run_dir.neighbours(step, features).name
        write_atomically(run_dir.evaluation(step, features), json.dumps(report, indent=2) + "\n")
        log = TensorBoardLog(run_dir.tensorboard)
        log.add_scalars({f"evaluation/{name}": value["mean"] for name, value in report["metrics"].items()}, step)
        log.close()
    except OSError as error:
        raise UserError(f"{run_dir.path}: can't be written ({error.strerror or error}); make it writable") from error


def _show(run_dir: RunDir, report: dict[str, Any]) -> None:
    from gan_exp.monitor.console import make_console
    from gan_exp.monitor.evaluation_table import class_table, protocol_line, score_table
    from gan_exp.wrapping import say

    console = make_console()
    console.print(score_table(report))
    if len(report.get("classes", {}).get("names", ())) in range(1, 31):
        console.print(class_table(report["classes"]))
    say(protocol_line(report))
    step, features = report["step"], report["protocol"]["features"]["name"]
    say(f"written: {run_dir.evaluation(step, features)}")
    if "neighbours" in report:
        say(f"samples beside their nearest: {run_dir.neighbours(step, features)}")
