"""`gan-exp evaluate RUN`: how good a generator is, over several seeds, with the protocol beside the numbers."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.errors import UserError
from gan_exp.metrics.entries import METRICS
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import short_name
from gan_exp.runtime.terminal import say

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gan_exp.config.schema import Config
    from gan_exp.data.packed import PackedImages
    from gan_exp.evaluation.evaluator import Evaluator, Measurement
    from gan_exp.metrics.metric import Metric


def run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    runs = [RunDir.open(name) for name in options.runs]

    from gan_exp.config.metrics import resolve_metrics
    from gan_exp.config.targets import trust

    trust(options.trust)
    asked = options.metrics
    metrics = None if asked is None else resolve_metrics("--metrics", filter(None, asked.split(",")))
    names = dict.fromkeys(short_name(run.path) for run in runs)
    say(f"evaluating {', '.join(names)}: loading the networks and the data")
    evaluator = RunEvaluator(options, metrics)
    reports = {path: evaluator.evaluate(RunDir(path)) for path in dict.fromkeys(run.path for run in runs)}
    if len(reports) > 1:
        from gan_exp.display.evaluation_report import show_comparison

        show_comparison({short_name(path): report for path, report in reports.items()})
    return 0


def _parser() -> Parser:
    parser = Parser("evaluate", "Measure a run's generator (the averaged one if the run keeps an average).")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=f"{RUN_HELP}; a table compares several runs")
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--metrics", metavar="M,M", help=(
        f"some of {', '.join(metric.name for metric in METRICS)}, or of your own by their dotted names "
        "(default: all that the data allows)"
    ))  # fmt: skip
    parser.add_argument("--features", choices=("cnn", "inception", "pixels"), help=(
        "the features to compare: those of a classifier trained on the data (cnn), of the network of published scores "
        "(inception, downloaded once), or pixels (default: cnn if the data has labels)"
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


class Loaded(NamedTuple):
    """A run's generator, and the data it was trained on."""

    config: "Config"
    content: dict[str, Any]  # of the checkpoint
    device: "torch.device"
    generator: "nn.Module"
    data: "PackedImages"
    held_out: "PackedImages | None"


class RunEvaluator:
    """Measures one run after another; what runs on the same data share is computed once.

    `metrics` are those asked for; None stands for all that the data allows.
    """

    def __init__(self, options: argparse.Namespace, metrics: "tuple[Metric, ...] | None") -> None:
        self._options, self._metrics = options, metrics
        self._evaluators: dict[tuple[Any, ...], Evaluator] = {}

    def evaluate(self, run_dir: RunDir) -> dict[str, Any]:
        """Measure, show, and write evaluation.json, the picture and TensorBoard's scalars."""
        from gan_exp.display.evaluation_report import show_report
        from gan_exp.evaluation.evaluator import default_count
        from gan_exp.evaluation.report import make_report
        from gan_exp.evaluation.seeds import measure_seeds

        options, loaded = self._options, _load(run_dir, self._options.checkpoint)
        count = options.count or default_count(loaded.data)
        say(
            f"{short_name(run_dir.path)} at step {loaded.content['step']:,}: measuring {count:,} samples of each of "
            f"{options.seeds} seed{'s' * (options.seeds > 1)} against images of {loaded.config.dataset['name']}"
        )
        evaluator = self._evaluator(loaded)
        logits = partial(_discriminator_logits, run_dir, loaded, options.checkpoint)
        measurements = measure_seeds(evaluator, loaded.generator, count, options.seeds, logits, say)
        about = _about(loaded)
        report = make_report(about, loaded.data, loaded.held_out, options.split, evaluator, count, measurements)
        _keep(run_dir, report, measurements[0], loaded.data)
        show_report(report, run_dir, evaluator.metrics)
        return report

    def _evaluator(self, loaded: Loaded) -> "Evaluator":
        from gan_exp.evaluation.availability import measurable_metrics
        from gan_exp.evaluation.evaluator import Evaluator
        from gan_exp.evaluation.features.choice import build_features, build_panel, usual_features

        options, data, held_out = self._options, loaded.data, loaded.held_out
        reals = data if options.split == "train" else held_out
        if reals is None:
            raise UserError("--split held_out: this run trained on all of its images; train with dataset.held_out=0.1")
        features = options.features or usual_features(data)
        metrics = self._metrics or measurable_metrics(data, held_out, features, reals, say)
        key = (data.digest, None if held_out is None else held_out.digest, features, str(loaded.device))
        if key not in self._evaluators:
            extractor = build_features(features, data, held_out, loaded.device, say)
            panel = build_panel(metrics, data, held_out, loaded.device, say)
            self._evaluators[key] = Evaluator(
                loaded.config.latent_dim, loaded.config.conditional, data, held_out, reals, extractor, metrics, panel
            )
        return self._evaluators[key].for_run(loaded.config.latent_dim, loaded.config.conditional)


def _about(loaded: Loaded) -> dict[str, Any]:
    config = loaded.config
    return {
        "step": loaded.content["step"],
        "dataset": config.dataset["name"],
        "resize": config.dataset.get("resize"),
        "averaged_generator": config.ema_halflife_kimg > 0,
        "conditional": config.conditional,
    }


def _load(run_dir: RunDir, checkpoint: str | None) -> Loaded:
    """The generator is the averaged one, where there is one."""
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
        raise UserError(
            f"{run_dir.path}: the data has changed since the run began; restore the data that it was trained on"
        )
    return Loaded(config, content, device, generator.to(device), data, held_out)


def _discriminator_logits(run_dir: RunDir, loaded: Loaded, checkpoint: str | None, samples: "torch.Tensor") -> Any:
    from gan_exp.commands.sample import load_weights
    from gan_exp.evaluation.discriminator import discriminator_logits
    from gan_exp.runs.checkpoint import data_spec
    from gan_exp.training.build import build_discriminator

    config = loaded.config
    discriminator = build_discriminator(config, data_spec(loaded.content))
    load_weights(discriminator, loaded.content["discriminator"], run_dir, checkpoint)
    discriminator = discriminator.to(loaded.device)
    return discriminator_logits(discriminator, loaded.data, loaded.held_out, samples, config.pac, config.conditional)


def _keep(run_dir: RunDir, report: dict[str, Any], first: "Measurement", data: "PackedImages") -> None:
    """In the run's directory: the report, samples beside their neighbours, and points in TensorBoard."""
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
