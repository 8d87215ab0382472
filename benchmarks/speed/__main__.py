"""`make bench`: measure all comparisons, or those that --only names."""

import argparse
import os
import sys

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed import keras_env
from benchmarks.speed.comparisons import comparisons
from benchmarks.speed.data import mnist_folder
from benchmarks.speed.measure import TRIES, measure
from benchmarks.speed.report import disturbed, plain, save_results, table, write_section
from benchmarks.tables import as_markdown, as_text


def main() -> int:
    options = _options()
    say = lambda text: print(text, flush=True)  # noqa: E731
    wanted = [name for name in (options.only or "").split(",") if name]
    needs_keras = not options.without_keras and (not wanted or any(name in "article" for name in wanted))
    keras = keras_env.ensure(say) if needs_keras else None
    chosen = [
        comparison.quick() if options.quick else comparison
        for comparison in comparisons(options.data, keras)
        if not wanted or any(name in comparison.name for name in wanted)
    ]
    if not chosen:
        say(f"--only {options.only}: must be part of one of {', '.join(c.name for c in comparisons(None, None))}")
        return 2
    machine = describe_machine(options.threads, keras)
    rounds, tries = (3, 1) if options.quick else (options.rounds, options.tries)
    say(sentence(machine))
    report = {"machine": machine, "options": vars(options), "comparisons": {}}
    for comparison in chosen:
        say(f"\n{comparison.title} ({comparison.name})")
        results = measure(comparison.loops, options.threads, rounds, tries, say if options.verbose else _ignore)
        if not results:
            continue
        rows = table(comparison, results)
        say(as_text(rows) + f"\n  {disturbed(results)}")
        report["comparisons"][comparison.name] = plain(results)
        if options.docs:
            text = f"**{comparison.title}**\n\n{as_markdown(rows)}\n\nMedians (quartiles). {sentence(machine)}; "
            write_section(f"speed {comparison.name}", f"{text}{disturbed(results)}.")
    say(f"\nraw results: {os.path.relpath(save_results('speed', report))}")
    return 0


def _ignore(text: str) -> None:
    if not text.startswith("  round"):
        print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--only", metavar="NAME,...", help="parts of article, floor, mlp-32, mlp-64, dcgan-64, dcgan-128")
    add("--quick", action="store_true", help="three short rounds, to test that it runs")
    add("--threads", type=int, default=2, help="threads and cores of every loop (default 2)")
    add("--rounds", type=int, default=9, help="measured rounds (default 9)")
    add("--tries", type=int, default=TRIES, help=f"attempts at a disturbed chunk (default {TRIES})")
    add("--data", type=mnist_folder, help="the folder that holds MNIST/raw (default: drawn strokes)")
    add("--without-keras", action="store_true", help="leave out the article's own code, which needs Keras")
    add("--docs", action="store_true", help="write the tables into docs/performance.md")
    add("--verbose", action="store_true", help="print each round")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
