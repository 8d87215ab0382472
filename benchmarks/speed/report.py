"""From chunks to medians, quartiles and paired ratios; tables for the terminal and for docs/performance.md."""

import statistics
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.speed.comparisons import Comparison
from benchmarks.speed.measure import TOLERATED_LOAD, Chunk
from benchmarks.tables import ROOT, Table
from gan_exp.runtime.files import json_text

RESULTS = Path(__file__).with_name("results")
DOCUMENT = ROOT / "docs/performance.md"
Results = dict[str, list[Chunk]]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def spread(values: list[float], digits: int = 2) -> str:
    """The median, then the quartiles."""
    low, middle, high = quartiles(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def table(comparison: Comparison, results: Results) -> Table:
    """A row for each loop; its speedup over the reference is the ratio of times within a round."""
    times = {name: [chunk.ms for chunk in chunks] for name, chunks in results.items()}
    floors = [times[name] for name in comparison.floor if name in times]
    least = [sum(parts) for parts in zip(*floors, strict=True)] if len(floors) == len(comparison.floor) else []
    rated = {loop.name: loop.work for loop in comparison.loops if loop.work is not None}
    if least:
        times["practical floor: products and Adam"] = least
    rows = [["training loop", "ms per iteration", "iterations/s", "speedup"]]
    if rated:
        rows[0].append("rate")
    if least:
        rows[0].append("relative to the floor")
    reference = times.get(comparison.reference)
    for name, values in times.items():
        per_second = 1000 / statistics.median(values)
        row = [name, spread(values), f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"]
        ratios = [] if reference is None else [other / own for other, own in zip(reference, values, strict=True)]
        row.append("" if name in rated or not ratios else "1" if name == comparison.reference else spread(ratios))
        if rated:
            amount, unit = rated.get(name, (0.0, ""))
            row.append(f"{amount * per_second:,.0f} {unit}/s" if name in rated else "")
        if least:
            row.append("" if name in rated else spread([own / part for own, part in zip(values, least, strict=True)]))
        rows.append(row)
    if least and rated.keys() <= times.keys():
        rows.append(_ideal(comparison, times))
    return rows


def _ideal(comparison: Comparison, times: dict[str, list[float]]) -> list[str]:
    """The time of the products at the rate of large ones, and of Adam at the bandwidth of the triad."""
    work = {loop.name: loop.work[0] for loop in comparison.loops if loop.work is not None}
    products, adam, large, triad = work
    per_ms = {name: work[name] / statistics.median(times[name]) for name in (large, triad)}
    ideal = work[products] / per_ms[large] + work[adam] / per_ms[triad]
    return ["products and Adam at the machine's best rates", f"{ideal:.2f}", f"{1000 / ideal:,.0f}", "", "", ""]


def disturbed(results: Results) -> str:
    """How much other processes disturbed the measurement, in a sentence."""
    chunks = [chunk for values in results.values() for chunk in values]
    again = sum(chunk.tries - 1 for chunk in chunks)
    loud = sum(chunk.foreign_load > TOLERATED_LOAD for chunk in chunks)
    load = statistics.median(chunk.foreign_load for chunk in chunks)
    rounds = max(len(values) for values in results.values())
    return (
        f"{rounds} rounds; other processes used {load:.2f} cores (median); "
        f"{again} disturbed chunks were repeated, {loud} of {len(chunks)} were kept although disturbed"
    )


def save_results(kind: str, content: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{kind}-{datetime.now():%Y%m%d-%H%M%S}.json"
    path.write_text(json_text(content, indent=1) + "\n", encoding="utf-8")
    return path


def plain(results: Results) -> dict[str, list[dict[str, float]]]:
    return {name: [{"ms": chunk.ms, **asdict(chunk)} for chunk in chunks] for name, chunks in results.items()}


def write_section(name: str, text: str) -> None:
    """Into docs/performance.md."""
    tables.write_section(DOCUMENT, name, text, "benchmarks.speed")
