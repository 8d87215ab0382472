"""`gan-exp evaluate RUN`: how good a generator is, over several seeds, with the protocol beside the numbers."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_exp.commands.arguments import RUN_HELP, Parser, count_of
from gan_exp.commands.over_ranks import over_ranks
from gan_exp.comparison.places import find_place, read_places
from gan_exp.errors import UserError
from gan_exp.evaluation.features.names import FEATURES
from gan_exp.generators.evaluation_help import help_evaluate
from gan_exp.metrics.entries import METRICS
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import RUN_FILE, short_name, short_names
from gan_exp.runtime.ranks import Ranks
from gan_exp.runtime.terminal import report as report_fault
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

if TYPE_CHECKING:
    from gan_exp.generators.run_evaluator import RunEvaluator
    from gan_exp.metrics.metric import Metric

MOST_SHOWN = 4  # scores of each of many runs


def run(arguments: list[str]) -> int:
    return over_ranks(partial(_lead, arguments), help_evaluate)


def _lead(arguments: list[str], ranks: Ranks) -> int:
    options = _parser().parse_args(arguments)
    single, several = _find_runs(options.runs)

    from gan_exp.config.metrics import resolve_metrics
    from gan_exp.config.targets import trust

    trust(options.trust)
    asked = options.metrics
    metrics = None if asked is None else resolve_metrics("--metrics", filter(None, asked.split(",")))

    from gan_exp.generators.run_evaluator import Choices, RunEvaluator

    choices = Choices(options.features, options.count, options.seeds, options.split)
    evaluator = RunEvaluator(choices, metrics, ranks)
    if several:
        return _evaluate_many(evaluator, list(dict.fromkeys([*single, *several])), options.checkpoint)
    names = [short_name(path) for path in single]
    say(f"evaluating {', '.join(names)}: loading the networks and the data")
    reports = {
        name: _show(evaluator, RunDir(path), options.checkpoint) for name, path in zip(names, single, strict=True)
    }
    if len(reports) > 1:
        from gan_exp.display.evaluation_report import show_comparison

        show_comparison(reports)
    return 0


def _show(evaluator: "RunEvaluator", run_dir: RunDir, checkpoint: str | None) -> dict[str, Any]:
    from gan_exp.display.evaluation_report import show_report

    report, metrics = evaluator.evaluate(run_dir, checkpoint, say)
    show_report(report, run_dir, metrics)
    return report


def _find_runs(names: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """The runs that are named, and those of sweeps and folders that finished. Raises UserError if there are none."""
    places = {name: find_place(name) for name in names}
    single = [RunDir.open(name).path for name, place in places.items() if (place / RUN_FILE).is_file()]
    folders = [name for name, place in places.items() if not (place / RUN_FILE).is_file()]
    several: list[Path] = []
    for name in folders:
        records = read_places([name])
        finished = [record.path.resolve() for record in records if record.state == "finished"]
        others = [f"{record.name} ({record.state})" for record in records if record.state != "finished"]
        if not finished:
            raise UserError(f"{name}: none of its {len(records)} runs has finished; name those to measure all the same")
        if others:
            say(f"left out, since they have not finished: {', '.join(others)}")
        several += finished
    return list(dict.fromkeys(single)), several


def _evaluate_many(evaluator: "RunEvaluator", paths: Sequence[Path], checkpoint: str | None) -> int:
    """A line for each run, then their comparison; 1 if some can't be measured. Raises UserError if none can."""
    say(f"evaluating {plural(len(paths), 'run')}: loading the networks and the data")
    refused: list[str] = []
    began = time.perf_counter()
    for number, (path, name) in enumerate(zip(paths, short_names(list(paths)), strict=True), start=1):
        try:
            tell = say if number == 1 else lambda line: None
            report, metrics = evaluator.evaluate(RunDir(path), checkpoint, tell)
            found = f"at step {report['step']:,}: {_main_scores(report, metrics)}"
        except UserError as error:
            refused.append(str(error))
            found = "can't be measured"
        rest = (time.perf_counter() - began) / number * (len(paths) - number)
        say(f"{number} of {len(paths)}: {name} {found}" + (f"; about {rest:.0f} s to go" if rest else ""))
    *others, last = dict.fromkeys(refused) or [""]
    for sentence in others:
        report_fault(sentence)
    if len(refused) == len(paths):
        raise UserError(last)
    if last:
        report_fault(last)
    _show_comparison(paths)
    return 1 if refused else 0


def _main_scores(report: dict[str, Any], metrics: "Iterable[Metric]") -> str:
    features = report["protocol"]["features"]["name"]
    scores = [score for metric in metrics for score in metric.scores if score.better is not None and not score.detail]
    found = [(score.tag(features), report["metrics"].get(score.tag(features), {}).get("mean")) for score in scores]
    return ", ".join([f"{tag} {mean:.4g}" for tag, mean in found if mean is not None][:MOST_SHOWN])


def _show_comparison(paths: Sequence[Path]) -> None:
    from gan_exp.commands.compare import show
    from gan_exp.comparison.comparison import compare
    from gan_exp.comparison.records import read_runs

    say("")
    show(compare(read_runs(paths), source="evaluate"))


def _parser() -> Parser:
    parser = Parser("evaluate", "Measure a run's generator (the averaged one if the run keeps an average).")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=(
        f"{RUN_HELP}; a table compares several runs; of a sweep or a folder, all runs that finished"
    ))  # fmt: skip
    parser.add_argument("--checkpoint", metavar="C", help="`best`, a step, or a file (default: the newest)")
    parser.add_argument("--metrics", metavar="M,M", help=(
        f"some of {', '.join(metric.name for metric in METRICS)}, or of your own by their dotted names "
        "(default: all that the data allows)"
    ))  # fmt: skip
    parser.add_argument("--features", choices=FEATURES, help=(
        "the features to compare: those of a classifier trained on the data (cnn), of a network trained on it without "
        "labels (ssl), of the network of published scores (inception, downloaded once), of random weights (random), or "
        "pixels (default: cnn if the data has labels, else ssl)"
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
