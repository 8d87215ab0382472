"""An evaluation as tables: each score with its spread, and what it means in a few words."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

GAP = 2  # columns between columns
MEANINGS = {
    "fid": "distance from the data; 0 is best",
    "kid": "another distance; 0 is best, and it may fall below",
    "kid_subset_sd": "its spread over subsets of the samples",
    "score": "how sure and how even their classes are",
    "precision": "share of samples that look like data",
    "recall": "share of the data that samples look like",
    "density": "how deep samples lie in the data",
    "coverage": "share of the data with a sample nearby",
    "class_kl": "how far their classes are from the data's; 0 is best",
    "modes": "modes found",
    "high_quality": "samples within 3 sigma of a mode",
    "mode_kl": "how far from even modes; 0 is best",
    "nearest": "median distance to the nearest training image",
    "nearest_held_out": "the same of held-out images",
    "nearer": "share suspiciously near to one; 0.01 is honest",
    "logit_train": "D's mean logit on training images",
    "logit_held_out": "on images it never saw",
    "logit_fake": "on samples",
    "logit_overfitting": "above 0.5 D knows training images by heart",
}


def score_table(report: Mapping[str, Any], title: str) -> Table:
    """Each score beside the one that the data itself has, and what it means."""
    features = report["protocol"]["features"]["name"]
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("score", "mean", "sd", "data", "what it says"):
        table.add_column(column, justify="right" if column in ("mean", "sd", "data") else "left")
    for name, value in report["metrics"].items():
        sd = "" if value["sd"] is None else f"{value['sd']:.2g}"
        meaning = value.get("reason") or MEANINGS.get(name.removesuffix(f"_{features}"), "")
        table.add_row(name, _number(value["mean"]), sd, _number(value.get("data")), meaning)
    return table


def comparison_tables(reports: Mapping[str, Mapping[str, Any]], width: int) -> Iterator[Table]:
    """A column for each run by its name, mean and standard deviation over seeds, and the data's own at the end.

    As many runs to a table as there is room for, each name and number in one piece.
    """
    names = list(dict.fromkeys(name for report in reports.values() for name in report["metrics"]))
    found = {run: [report["metrics"].get(name, {}) for name in names] for run, report in reports.items()}
    data = [
        next((one["data"] for one in each if one.get("data") is not None), None)
        for each in zip(*found.values(), strict=True)
    ]
    columns = [(run, list(map(_with_spread, values))) for run, values in found.items()]
    first, last = ("score", names), ("data", list(map(_number, data)))
    room = width - _columns_of(first) - _columns_of(last)
    while columns:
        here = [columns.pop(0)]
        while columns and sum(map(_columns_of, [*here, columns[0]])) <= room:
            here.append(columns.pop(0))
        table = Table(box=None, padding=(0, GAP, 0, 0))
        for title, _ in (first, *here, last):
            table.add_column(title, justify="left" if title == "score" else "right", no_wrap=True)
        for row in zip(*(cells for _, cells in (first, *here, last)), strict=True):
            table.add_row(*row)
        yield table


def _columns_of(column: tuple[str, list[str]]) -> int:
    title, cells = column
    return max(map(len, (title, *cells))) + GAP


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _with_spread(value: Mapping[str, Any]) -> str:
    if value.get("mean") is None:
        return "infinite" if "reason" in value else ""
    return f"{value['mean']:.4g}" + ("" if value["sd"] is None else f" +- {value['sd']:.2g}")


def class_table(classes: Mapping[str, Any]) -> Table:
    """The share of each class in the data and among the samples."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column, justify in (("class", "left"), ("data", "right"), ("samples", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    rows = zip(classes["names"], classes["data"], classes["samples"], strict=True)
    for name, real, fake in rows:
        table.add_row(str(name), f"{real / sum(classes['data']):.1%}", f"{fake / sum(classes['samples']):.1%}")
    return table


def yardstick_line(report: Mapping[str, Any]) -> str:
    """What stands under `data`, and how to read it."""
    protocol = report["protocol"]
    counts = ""
    has_fid = any(name.startswith("fid_") for name in report["metrics"])
    if has_fid and protocol["yardstick"]["images"] < protocol["samples"]:
        counts = f"; of so few, fid is higher than of {protocol['samples']:,}"
    return f"data: what the data itself scores ({protocol['yardstick']['what']}{counts}): samples as good come near it"


def protocol_line(report: Mapping[str, Any]) -> str:
    """In one line what the numbers hang on; the file has all of it."""
    protocol = report["protocol"]
    features = protocol["features"]
    right = f", {features['accuracy']:.2%} right" if "accuracy" in features else ""
    average = "averaged generator" if protocol["averaged_generator"] else "generator without average"
    seeds = len(protocol["seeds"])
    return (
        f"protocol: {protocol['samples']:,} samples ({average}) against {protocol['reals']:,} images of "
        f"{protocol['dataset']} ({protocol['split']}), {seeds} seed{'s' * (seeds > 1)}, features {features['name']} "
        f"{features['digest']}{right}"
    )
