"""`make bench-quality`: train and measure recipes over several seeds; finished runs are not repeated."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, sentence
from benchmarks.quality.existing import find_runs, measured_together
from benchmarks.quality.experiments import COMPARISONS, Comparison, Experiment, choose, comparison_of, named
from benchmarks.quality.pictures import side_by_side
from benchmarks.quality.report import STEPS_ALONE, Results, cell, details, extremes, progress, table, train_seconds
from benchmarks.quality.runs import RunFailed, measured
from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section

DOCUMENT = ROOT / "docs/results.md"
IMAGES = ROOT / "docs/images"
RESULTS = Path(__file__).with_name("results")


def main() -> int:
    options = _options()
    machine = describe_machine(1)
    say(sentence(machine))
    found, failed = _of_existing(options) if options.runs else _of_trained(options)
    for comparison in COMPARISONS:
        results = {name: runs for name, runs in found.items() if comparison_of(named(name)) is comparison}
        if not results and options.docs and comparison.needs and f"begin: quality {comparison.name} " not in _page():
            text = f"Not measured: the files of {comparison.needs} were not at hand."
            write_section(DOCUMENT, f"quality {comparison.name}", text, "benchmarks.quality")
        if results:
            threads = max(named(name).threads for name in results)
            _report(comparison, results, {**machine, "threads": threads} if options.docs else None)
    return int(failed)


def _page() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def _of_existing(options: argparse.Namespace) -> tuple[Results, bool]:
    """The results of the runs in --runs, none of which is trained here."""
    runs = find_runs(options.runs, options.names, say)
    runs = [run for run in runs if options.seeds is None or run.config["seed"] in options.seeds]
    found = measured_together(runs, options.out, say)
    for name, results in found.items():
        for result in results:
            _say_scores(named(name), result)
    return found, sum(map(len, found.values())) < len(runs)


def _of_trained(options: argparse.Namespace) -> tuple[Results, bool]:
    """Train and measure one seed after another, and say what was left out."""
    found: Results = {}
    failed = False
    for experiment in options.names:
        comparison = comparison_of(experiment)
        if comparison.needs and not (Path(options.data or "") / comparison.needs / "raw").is_dir():
            say(
                f"left out: {experiment.name} needs the files of {comparison.title.split()[0]}; "
                f"--data names the folder that holds {comparison.needs}/raw"
            )
            continue
        for seed in options.seeds or range(comparison.seeds):
            try:
                result = measured(experiment, seed, options.out, options.data)
            except RunFailed as failure:
                say(f"left out: {failure}")
                failed = True
                continue
            _say_scores(experiment, result)
            found.setdefault(experiment.name, []).append(result)
    return found, failed


def _say_scores(experiment: Experiment, result: dict[str, Any]) -> None:
    columns = comparison_of(experiment).columns
    scores = ", ".join(f"{column.heading} {cell(column, [result['scores']])}" for column in columns)
    say(f"{experiment.name}, seed {result['seed']}: {scores}; {train_seconds(result):.0f} seconds")


def _report(comparison: Comparison, results: Results, machine: dict[str, Any] | None) -> None:
    """Print the tables; with `machine`, also write them into docs/results.md."""
    rows, more, curve = table(comparison, results), details(comparison, results), progress(comparison, results)
    say(f"\n{comparison.title}\n{as_text(rows)}\n{extremes(comparison, results)}")
    for further in (more if comparison.details else [], curve):
        if further:
            say(as_text(further))
    if machine is not None:
        pictures = side_by_side(results, IMAGES, DOCUMENT.parent) if comparison.details else []
        text = _section(comparison, results, (rows, more, curve, pictures), machine)
        write_section(DOCUMENT, f"quality {comparison.name}", text, "benchmarks.quality")


def _section(
    comparison: Comparison, results: Results, tables: tuple[Table, Table, Table, Table], machine: dict[str, Any]
) -> str:
    rows, more, curve, pictures = tables
    words = ["Mean +- standard deviation.", extremes(comparison, results), f"{comparison.protocol}."]
    if any(STEPS_ALONE in cost for *_, cost in rows):
        words.append(
            "`steps alone`: the time of the training steps by the clock, without start-up, at the speed of the fastest "
            "tenth of the run's log entries, since the machine did other work, too."
        )
    parts = [as_markdown(rows), " ".join(filter(None, words))]
    if comparison.details:
        parts.append(as_markdown(more))
    if curve:
        parts.append(f"During training, with the recipe's `evaluate_count` samples:\n\n{as_markdown(curve)}")
    if pictures:
        parts.append(
            "Samples of the first seed, when the recipe that ends first has ended, and at the end. At the earlier time "
            f"the learning rate of longer recipes has not fallen yet:\n\n{as_markdown(pictures)}"
        )
    return "\n\n".join([*parts, f"{sentence(machine)}."])


def say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="experiments or comparisons (default: all)")
    add(
        "--seeds",
        type=seed_range,
        metavar="K",
        help="seeds 0 to K - 1, or A-B (default: the number set for each comparison)",
    )
    add("--out", type=Path, default=RESULTS, metavar="DIR", help="folder for runs and results")
    add("--runs", type=Path, metavar="DIR", help=(
        "measure the finished runs in this folder, chosen by their settings, and train none"
    ))  # fmt: skip
    add("--docs", action="store_true", help=f"write the tables into {DOCUMENT.relative_to(ROOT)}")
    add("--data", default=os.environ.get("GAN_EXP_DATA"), metavar="ROOT", help=(
        "the folder that holds MNIST/raw, for training (default: GAN_EXP_DATA)"
    ))  # fmt: skip
    options = parser.parse_args()
    try:
        options.names = choose(options.names)
    except ValueError as error:
        parser.error(str(error))
    options.out = options.out.resolve()
    if options.runs is not None:
        options.runs = options.runs.resolve()
        if not options.runs.is_dir():
            parser.error(f"--runs {options.runs}: is not a folder")
    return options


def seed_range(text: str) -> range:
    """`5` means seeds 0 to 4, `5-9` seeds 5 to 9, so that several processes can share the work."""
    first, dash, last = text.partition("-")
    seeds = range(int(first), int(last) + 1) if dash else range(int(first))
    if not seeds:
        raise ValueError(text)
    return seeds


if __name__ == "__main__":
    sys.exit(main())
