"""Curves of a limited size: of too many points, the mean, lowest and highest value of equal spans of steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean
from typing import Any

POINTS = 500_000  # numbers on a page; some seven bytes each
MOST = 3_000  # numbers of one curve
FEWEST = 24  # numbers of one curve; where that is too many, whole tags are left out
DIGITS = 5
# Which tags stay where there is no room for all: those that answer a question come first.
ORDER = ("evaluation", "loss", "accuracy", "samples", "discriminator", "gradient_norm", "penalty")

Points = Sequence[tuple[int, float]]  # (step, value), by step


@dataclass(frozen=True)
class Curves:
    """`runs` holds, for each run, its curves by tag: `s` is the place of their steps in `steps`, `y` their values.

    Those of a thinned tag have the lowest and highest value of each span too, `lo` and `hi`; `y` is the mean then.
    """

    steps: list[list[int]]
    runs: list[dict[str, dict[str, Any]]]
    spans: dict[str, int] = field(default_factory=dict)  # steps in a span, of each tag that was thinned
    left_out: list[str] = field(default_factory=list)  # tags


def tag_order(tag: str) -> tuple[int, str]:
    group = tag.split("/")[0]
    return (ORDER.index(group) if group in ORDER else len(ORDER), tag)


def collect(runs: Sequence[Iterable[Mapping[str, float]]], points: int = POINTS) -> Curves:
    """The curves of many runs from their records, together of at most about `points` numbers."""
    found = [_by_tag(records) for records in runs]
    tags = sorted({tag for curves in found for tag in curves}, key=tag_order)
    kept = tags[: max(1, points // (FEWEST * max(1, len(runs))))]
    room = max(FEWEST, min(MOST, points // max(1, len(runs) * len(kept))))
    spans = {tag: span for tag in kept if (span := _span([curves.get(tag, ()) for curves in found], room))}
    numbers: dict[tuple[int, ...], int] = {}
    thinned = [{tag: _curve(curves[tag], spans.get(tag), numbers) for tag in kept if tag in curves} for curves in found]
    return Curves(list(map(list, numbers)), thinned, spans, tags[len(kept) :])


def _by_tag(records: Iterable[Mapping[str, float]]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, dict[int, float]] = {}
    for record in records:
        for tag, value in record.items():
            if tag != "step" and isinstance(value, int | float):
                curves.setdefault(tag, {})[int(record["step"])] = value  # the later of two of the same step
    return {tag: sorted(points.items()) for tag, points in curves.items()}


def _span(curves: Sequence[Points], room: int) -> int | None:
    """The steps in a span if any of a tag's curves has more than `room` points; the same for all runs."""
    if max(map(len, curves)) <= room:
        return None
    first, last = min(one[0][0] for one in curves if one), max(one[-1][0] for one in curves if one)
    return max(1, -(-(last - first + 1) // (room // 3)))


def _curve(points: Points, span: int | None, numbers: dict[tuple[int, ...], int]) -> dict[str, Any]:
    if span is None:
        curve = {"y": [_short(value) for _, value in points]}
        steps = tuple(step for step, _ in points)
    else:
        spans = [list(inside) for _, inside in groupby(points, lambda point: point[0] // span)]
        values = [[value for _, value in inside] for inside in spans]
        curve = {
            name: [_short(reduced(each)) for each in values]
            for name, reduced in (("y", fmean), ("lo", min), ("hi", max))
        }
        steps = tuple((inside[0][0] + inside[-1][0]) // 2 for inside in spans)
    return {"s": numbers.setdefault(steps, len(numbers)), **curve}


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
