"""`python -m benchmarks.speed.scaling`: step time by batch size, image size, width and number of images.

It draws docs/images/scaling.png. Beside each curve is the time of its arithmetic at the machine's best rates: the
step's FLOPs at the rate of large matrix products, and its Adam traffic at the bandwidth of a triad.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed import keras_env
from benchmarks.speed.floor import ADAM_BYTES, LARGE, TRIAD_LENGTH
from benchmarks.speed.measure import TRIES, Chunk, Loop, measure
from benchmarks.speed.ours import bare_steps, load_config
from benchmarks.speed.report import RESULTS, disturbed, save_results, write_section
from benchmarks.tables import ROOT
from gan_exp.data.packed import DataSpec
from gan_exp.training.build import build_state

PICTURE = ROOT / "docs/images/scaling.png"
FEW = "dataset.count=2000"
ARTICLE = ["experiment=article", "dataset=bench_digits"]
DCGAN = [
    "experiment=dcgan_mnist",
    "model.generator.width=16",
    "model.discriminator.width=16",
    "dataset=bench_digits",
]
MACHINE = [
    Loop("large products", "benchmarks.speed.floor:large_products"),
    Loop("triad", "benchmarks.speed.floor:triad"),
]


@dataclass(frozen=True)
class Curve:
    label: str
    points: Sequence[tuple[float, list[str]]]  # the position on the axis, and the overrides
    data_counts: bool = False  # whether only the data differs, which doesn't change the arithmetic


def panels() -> dict[str, list[Curve]]:
    """By the name of the axis."""
    batches = [(n, [*ARTICLE, FEW, f"batch_size={n}"]) for n in (8, 16, 32, 64, 128, 256, 512, 1024)]
    sizes = (8, 16, 32, 64, 128)
    widths = [(factor, [*ARTICLE, FEW, *_widths(factor)]) for factor in (0.25, 0.5, 1, 2, 4)]
    counts = (1_000, 10_000, 100_000, 1_000_000)
    return {
        "images a batch": [Curve("mlp (article), 28x28", batches)],
        "pixels a side": [
            Curve("mlp (article), batch 32", [(n, [*ARTICLE, FEW, f"dataset.size={n}"]) for n in sizes]),
            Curve("dcgan (width 16), batch 64", [(n, [*DCGAN, FEW, f"dataset.size={n}"]) for n in sizes]),
        ],
        "width of every hidden layer, times the article's": [Curve("mlp, 28x28, batch 32", widths)],
        "images in the data set": [
            Curve(
                f"mlp (article), {how}",
                [(n, [*ARTICLE, f"sampling={how}", f"dataset.count={n}"]) for n in counts],
                True,
            )
            for how in ("with_replacement", "shuffled")
        ],
    }


def _widths(factor: float) -> list[str]:
    networks = {"generator": (256, 512, 1024), "discriminator": (512, 256)}
    return [f"model.{name}.widths={[round(factor * width) for width in widths]}" for name, widths in networks.items()]


def arithmetic(overrides: list[str]) -> tuple[float, float]:
    """The FLOPs of one step, and the bytes of its Adam updates."""
    config = load_config([*overrides, "device=cpu"])
    with FlopCounterMode(display=False) as counter:
        bare_steps(config)(1)
    size = config.dataset["size"]
    state = build_state(config, DataSpec((1, size, size)), torch.device("cpu"))
    updates = 2 if config.split_updates else 1
    parameters = sum(p.numel() for p in state.generator_parameters)
    parameters += updates * sum(p.numel() for p in state.discriminator_parameters)
    return counter.get_total_flops(), ADAM_BYTES * parameters


def measure_panel(curves: list[Curve], options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The data of each curve for the picture, and how much the measurement was disturbed."""
    count = 2 if options.quick else None
    loops = [
        Loop(f"{curve.label}: {place}", "benchmarks.speed.ours:bare_step", {"overrides": overrides}, count)
        for curve in curves
        for place, overrides in curve.points
    ]
    rounds, tries = (2, 1) if options.quick else (options.rounds, TRIES)
    results = measure([*loops, *MACHINE], options.threads, rounds, tries)
    flop_per_ms = 2 * LARGE**3 / _median(results["large products"])
    bytes_per_ms = 12 * TRIAD_LENGTH / _median(results["triad"])
    drawn = []
    for curve in curves:
        found = [(p, overrides, results[f"{curve.label}: {p}"]) for p, overrides in curve.points]
        least = []
        for _, overrides, _ in found[:1] if curve.data_counts else found:
            flop, traffic = arithmetic([*overrides, FEW])
            least.append(flop / flop_per_ms + traffic / bytes_per_ms)
        drawn.append(
            {
                "label": curve.label,
                "places": [place for place, _, _ in found],
                "ms": [[chunk.ms for chunk in chunks] for _, _, chunks in found],
                "arithmetic_ms": least * (len(found) // len(least)),
            }
        )
    return drawn, disturbed(results)


def _median(chunks: list[Chunk]) -> float:
    return statistics.median(chunk.ms for chunk in chunks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", default="", metavar="WORD", help="only panels whose axis contains it: batch, side, width, data"
    )
    parser.add_argument("--quick", action="store_true", help="two tiny rounds, to test that it runs")
    parser.add_argument(
        "--docs", action="store_true", help=f"write {PICTURE.relative_to(ROOT)} and docs/performance.md"
    )
    options = parser.parse_args()
    machine = describe_machine(options.threads)
    print(sentence(machine))
    drawn = {}
    for axis, curves in panels().items():
        if options.only in axis:
            drawn[axis], quiet = measure_panel(curves, options)
            print(f"{axis}: {quiet}", flush=True)
            for curve in drawn[axis]:
                for place, ms, least in zip(curve["places"], curve["ms"], curve["arithmetic_ms"], strict=True):
                    print(f"  {curve['label']}, {place:,}: {statistics.median(ms):.2f} ms, arithmetic {least:.2f} ms")
    results = save_results("scaling", {"machine": machine, "panels": drawn})
    python = keras_env.ensure()
    if python is None:
        print(f"no picture without matplotlib; the figures are in {results}")
        return 1
    picture = PICTURE if options.docs else RESULTS / "scaling.png"
    subprocess.run([python, "-m", "benchmarks.speed.plot", results, picture], cwd=ROOT, check=True)
    print(picture.relative_to(ROOT))
    if options.docs:
        caption = (
            "The training step alone: medians, with the quartiles as bars. "
            f"Dashed lines: the step's arithmetic at the machine's best rates. {sentence(machine)}."
        )
        write_section("scaling", f"![the cost of a step](images/scaling.png)\n\n{caption}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
