"""What `gan-exp evaluate` prints: the scores, how to read them, and the protocol."""

from collections.abc import Iterable, Mapping
from typing import Any

from gan_exp.display.console import make_console
from gan_exp.display.evaluation_table import class_table, comparison_tables, score_table
from gan_exp.metrics.metric import Metric
from gan_exp.runs.run_dir import RunDir
from gan_exp.runs.run_names import short_name
from gan_exp.runtime.paths import path_from_here
from gan_exp.runtime.terminal import say
from gan_exp.runtime.words import plural

MOST_CLASSES = 30  # rows of a table


def show_report(report: Mapping[str, Any], run_dir: RunDir, metrics: Iterable[Metric]) -> None:
    """`metrics` are those that were measured."""
    console = make_console()
    title = f"{short_name(run_dir.path)} at step {report['step']:,}"
    scores = [score for metric in metrics for score in metric.scores]
    console.print(score_table(report, title, scores))
    if len(report.get("classes", {}).get("names", ())) in range(1, MOST_CLASSES + 1):
        console.print(class_table(report["classes"]))
    if "yardstick" in report["protocol"]:
        say(data_line(report))
    say(protocol_line(report))
    step, features = report["step"], report["protocol"]["features"]["name"]
    say(f"written: {path_from_here(run_dir.evaluation(step, features))}")
    if "neighbours" in report:
        say(f"samples beside their nearest training images: {path_from_here(run_dir.neighbours(step, features))}")


def show_comparison(reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Several runs by their names."""
    console = make_console()
    for table in comparison_tables(reports, console.width):
        console.print()
        console.print(table)


def data_line(report: Mapping[str, Any]) -> str:
    """What the column `data` holds, and how to read it."""
    protocol = report["protocol"]
    counts = ""
    has_fid = any(name.startswith("fid_") for name in report["metrics"])
    if has_fid and protocol["yardstick"]["images"] < protocol["samples"]:
        counts = f"; with so few images, fid is higher than with {protocol['samples']:,}"
    what = f"{protocol['yardstick']['what']}{counts}"
    return f"data: the scores of real images ({what}); samples as good as the data come near them"


def protocol_line(report: Mapping[str, Any]) -> str:
    """The part of the protocol that the numbers depend on most, in one line; the file has all of it."""
    protocol = report["protocol"]
    features = protocol["features"]
    right = f" (accuracy {features['accuracy']:.2%})" if "accuracy" in features else ""
    average = "averaged generator" if protocol["averaged_generator"] else "generator without an average"
    samples, images = plural(protocol["samples"], "sample"), plural(protocol["reals"], "image")
    return (
        f"protocol: {samples} ({average}) against {images} of {protocol['dataset']} ({protocol['split']}), "
        f"{plural(len(protocol['seeds']), 'seed')}, features {features['name']} {features['digest']}{right}, "
        f"in {protocol.get('precision', 'float32')}"
    )
