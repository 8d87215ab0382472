"""`make bench-quality`: train and measure recipes over several seeds; finished runs are not repeated."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, sentence
from benchmarks.quality.experiments import COMPARISONS, Comparison, Experiment, choose, comparison_of
from benchmarks.quality.report import Results, extremes, progress, table
from benchmarks.quality.runs import RunFailed, measured
from benchmarks.tables import ROOT, as_markdown, as_text, write_section

DOCUMENT = ROOT / "docs/results.md"
RESULTS = Path(__file__).with_name("results")


def main() -> int:
    options = _options()
    machine = describe_machine(1)
    say(sentence(machine))
    found: dict[str, Results] = {}
    failed = False
    for experiment in options.names:
        comparison = comparison_of(experiment)
        if comparison.needs_data and options.data is None:
            say(f"left out: {experiment.name} needs MNIST; --data names the folder that holds MNIST/raw")
            continue
        try:
            runs = [_measured(experiment, seed, options) for seed in options.seeds or range(comparison.seeds)]
        except RunFailed as failure:
            say(f"left out: {failure}")
            failed = True
            continue
        found.setdefault(comparison.name, {})[experiment.name] = runs
    for comparison in COMPARISONS:
        if comparison.name in found:
            threads = max(one.threads for one in options.names if comparison_of(one) is comparison)
            _report(comparison, found[comparison.name], {**machine, "threads": threads} if options.docs else None)
    return int(failed)


def _measured(experiment: Experiment, seed: int, options: argparse.Namespace) -> dict[str, object]:
    result = measured(experiment, seed, options.out, options.data)
    scores = ", ".join(f"{c.score} {result['scores'][c.score]:.4g}" for c in comparison_of(experiment).columns)
    say(f"{experiment.name}, seed {seed}: {scores}; {result['training']['cpu_seconds']:.0f} CPU seconds")
    return result


def _report(comparison: Comparison, results: Results, machine: dict[str, Any] | None) -> None:
    """Print the table; with `machine`, also write it into docs/results.md."""
    rows, curve = table(comparison, results), progress(comparison, results)
    say(f"\n{comparison.title}\n{as_text(rows)}\n{extremes(comparison, results)}")
    if curve:
        say(as_text(curve))
    if machine is None:
        return
    words = ("Mean +- standard deviation.", extremes(comparison, results), f"{comparison.protocol}.")
    parts = [as_markdown(rows), " ".join(word for word in words if word)]
    if curve:
        parts.append(f"During training, with the recipe's `evaluate_count` samples:\n\n{as_markdown(curve)}")
    text = "\n\n".join([*parts, f"{sentence(machine)}."])
    write_section(DOCUMENT, f"quality {comparison.name}", text, "benchmarks.quality")


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
    add("--docs", action="store_true", help=f"write the tables into {DOCUMENT.relative_to(ROOT)}")
    add("--data", default=os.environ.get("GAN_EXP_DATA"), metavar="ROOT", help=(
        "the folder that holds MNIST/raw (default: GAN_EXP_DATA)"
    ))  # fmt: skip
    options = parser.parse_args()
    try:
        options.names = choose(options.names)
    except ValueError as error:
        parser.error(str(error))
    options.out = options.out.resolve()
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
