"""`python -m benchmarks.scaling`: what several processes gain, measured here, and predicted for many GPUs.

Strong scaling: the recipe's batch divided over the processes. Weak scaling: each process has the recipe's batch. Every
loop is `gan-exp train` in processes of its own, measured in rounds, one loop at a time while the others are stopped.
On a machine with several GPUs, each process has one; otherwise each has one of the cores.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.machine import describe_machine, sentence
from benchmarks.scaling.messages import RECIPES, Recipe, messages
from benchmarks.scaling.model import CALL, CLUSTERS, UTILISATION, efficiency, seconds
from benchmarks.speed.measure import Loop, measure
from benchmarks.speed.report import save_results, spread
from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section

DOCUMENT = ROOT / "docs/scaling.md"
SIZES = (4, 40_000, 400_000, 4_000_000, 40_000_000, 80_000_000)  # bytes of an all-reduce
Milliseconds = dict[str, list[float]]


def main() -> int:
    options = _options()
    gpus = torch.cuda.device_count()
    device = "cuda" if gpus > 1 else "cpu"
    counts = [count for count in (2, 4, 8) if count <= (gpus if device == "cuda" else len(os.sched_getaffinity(0)))]
    counts = counts[:1] if options.quick else counts or [2]
    machine = describe_machine(len(os.sched_getaffinity(0)))
    print(sentence(machine), flush=True)
    found: dict[str, Any] = {"machine": machine}
    texts = []
    if "steps" in options.only:
        chosen = RECIPES[:1] if options.quick else [recipe for recipe in RECIPES if recipe.here]
        times = {recipe.name: _measure(_loops(recipe, counts, device, options.quick), options) for recipe in chosen}
        texts.append(_show("steps", _step_table(chosen, counts, device, times)))
        found["steps"] = times
    if "reduce" in options.only:
        sizes = SIZES[1:2] if options.quick else SIZES
        loops = [_reduce_loop(size, count, device) for size in sizes for count in counts]
        reduces = _measure(loops, options)
        texts.append(_show("reduce", _reduce_table(sizes, counts, reduces)))
        found["reduce"] = reduces
    if "model" in options.only:
        chosen = RECIPES[:1] if options.quick else [recipe for recipe in RECIPES if recipe.h100_ms]
        texts.append(_show("model", model_table(chosen)) + "\n\n" + assumptions())
    if len(found) > 1 and not options.quick:
        print(save_results("processes", found))
    if options.docs:
        for name, text in zip([name for name in PARTS if name in options.only], texts, strict=True):
            where = "" if name == "model" else f"\n\n{sentence(machine)}."
            write_section(DOCUMENT, f"scaling {name}", text + where, "benchmarks.scaling")
    return 0


PARTS = ("steps", "reduce", "model")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="one short round of one recipe, to test that it runs")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/scaling.md")
    return parser.parse_args()


def _measure(loops: Sequence[Loop], options: argparse.Namespace) -> Milliseconds:
    """Milliseconds of an iteration in each round."""
    chunks = measure(list(loops), len(os.sched_getaffinity(0)), 1 if options.quick else options.rounds, tries=1)
    missing = [loop.name for loop in loops if loop.name not in chunks]
    if missing:
        raise SystemExit(f"{missing[0]}: failed")
    return {name: [chunk.ms for chunk in found] for name, found in chunks.items()}


def _loops(recipe: Recipe, counts: Sequence[int], device: str, quick: bool) -> list[Loop]:
    def loop(name: str, processes: int, threads: int, batch: int) -> Loop:
        words = [*recipe.words, f"batch_size={batch}", f"device={device}"]
        arguments = {"words": words, "processes": processes, "threads_each": threads}
        return Loop(name, "benchmarks.scaling.loops:train", arguments, 2 if quick else None)

    batch, cores = recipe.batch, len(os.sched_getaffinity(0))
    found = [loop("1 process", 1, 1, batch)]
    if device == "cpu" and not quick:
        found.append(loop(f"1 process, {cores} threads", 1, cores, batch))
    for count in counts:
        found.append(loop(f"{count} processes, the batch divided", count, 1, batch))
        if not quick:
            found.append(loop(f"{count} processes, a batch each", count, 1, batch * count))
    return found


def _reduce_loop(size: int, count: int, device: str) -> Loop:
    arguments = {"size": size, "processes": count, "device": device, "threads_each": 1}
    return Loop(f"{count}: {size}", "benchmarks.scaling.loops:reduce", arguments)


def _step_table(recipes: Sequence[Recipe], counts: Sequence[int], device: str, times: dict[str, Milliseconds]) -> Table:
    kind = "one GPU each" if device == "cuda" else "one core each"
    rows = [["recipe", f"processes, {kind}", "batch", "ms a step", "images/s", "times as fast"]]
    for recipe in recipes:
        one = times[recipe.name]["1 process"]
        for name, taken in times[recipe.name].items():
            count = int(name.split()[0])
            batch = recipe.batch * (count if name.endswith("each") else 1)
            gains = [first / own * batch / recipe.batch for first, own in zip(one, taken, strict=True)]
            gain = "1" if taken is one else spread(gains)
            rows.append([recipe.name, name, str(batch), spread(taken), f"{1000 * batch / median(taken):,.0f}", gain])
    return rows


def _reduce_table(sizes: Sequence[int], counts: Sequence[int], times: Milliseconds) -> Table:
    rows = [["an all-reduce of", *(f"{count} processes" for count in counts)]]
    for size in sizes:
        rows.append([size_text(size), *(f"{spread(times[f'{count}: {size}'], 3)} ms" for count in counts)])
    return rows


def model_table(recipes: Sequence[Recipe]) -> Table:
    """Efficiency: so much of n times one GPU's images a second, each GPU with the recipe's batch."""
    rows = [["recipe", "a GPU's step", "gradients", "collectives", *(cluster.name for cluster in CLUSTERS)]]
    for recipe in recipes:
        sent = messages(recipe)
        assert recipe.h100_ms is not None
        step = recipe.h100_ms / 1000
        cells = []
        for cluster in CLUSTERS:
            cells.append(f"{efficiency(step, sent, cluster):.0%} ({_ms(1000 * seconds(sent, cluster))})")
        size = size_text(sum(message.size for message in sent if message.halves == 2))
        rows.append([f"{recipe.name}, batch {recipe.batch}", _ms(recipe.h100_ms), size, str(len(sent)), *cells])
    return rows


def assumptions() -> str:
    sources = "; ".join(dict.fromkeys(f"{cluster.name}: {cluster.source}" for cluster in CLUSTERS))
    return (
        "Each GPU has the recipe's batch; in parentheses the collectives' time a step, which nothing overlaps. "
        f"A ring's links reach {UTILISATION:.0%} of their nominal bandwidth, its latencies are those of NCCL's own "
        f"model, and each collective costs {CALL:.0f} µs of Python. Steps were measured on one H100, kernel by kernel "
        f"([performance](performance.md#on-one-h100)). Nominal bandwidths: {sources}."
    )


def size_text(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} KB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _show(name: str, rows: Table) -> str:
    print(f"\n{name}\n{as_text(rows)}", flush=True)
    return as_markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
