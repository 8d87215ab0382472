"""`python -m benchmarks.speed.gpu`: training steps on a CUDA GPU, a line at a time, within two minutes.

gan-exp's own step as `fast_path` and `device.precision` choose it, and beside it peers' loops. Times are medians of
chunks after a warm-up; the draws are part of the step, logging is not. Images are those shown to D.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.gpu.measure import PRECISIONS, Speed, matrix_rates, measure, tidy, torchs_defaults
from benchmarks.speed.gpu.package import (
    ARTICLE,
    DCGAN_64,
    NAMES,
    R3GAN_CIFAR,
    R3GAN_DIFFERENCES,
    R3GAN_FFHQ,
    RECIPES,
    SNGAN_CIFAR,
    Recipe,
    Step,
    merged_groups,
)
from benchmarks.speed.gpu.peers import PlainLoop, R3GANLoop
from benchmarks.tables import ROOT, Table, as_markdown, write_section
from gan_exp.runtime.files import json_text
from gan_exp.training.precision import Precision

RESULTS = Path(__file__).parents[1] / "results/gpu.json"
HEADINGS = ["steps", "img/s", "s/kimg", "steps/s", "memory", "of the chip's rate", "first step"]
WIDTHS = (46, 8, 8, 8, 10, 18, 10)
PEERS = "plain loop", "R3GAN's loop"
# What is measured without --full, in this order, and about how many seconds each takes: compiling, or cuDNN's search
# for its fastest algorithms, which gan-exp allows, takes most of them.
CHOSEN: tuple[tuple[Recipe, str, str, float], ...] = (
    (ARTICLE, "plain", "float32", 3),
    (ARTICLE, "graph", "float32", 4),
    (ARTICLE, "compiled", "float32", 25),
    (ARTICLE, PEERS[0], "tf32", 3),
    (R3GAN_CIFAR, "graph", "bf16", 20),
    (R3GAN_CIFAR, PEERS[1], "bf16", 20),
    (SNGAN_CIFAR, "graph", "bf16", 12),
    (SNGAN_CIFAR, "compiled", "bf16", 60),  # a guess, for which --only sngan leaves the time
    (DCGAN_64, "graph", "bf16", 6),
    (R3GAN_FFHQ, "graph", "bf16", 20),
    (SNGAN_CIFAR, "graph", "float32", 10),
    (SNGAN_CIFAR, "plain", "float32", 8),
    (SNGAN_CIFAR, PEERS[0], "tf32", 5),
    (DCGAN_64, "graph", "float32", 6),
    (DCGAN_64, "plain", "float32", 5),
    (DCGAN_64, PEERS[0], "tf32", 5),
    (R3GAN_DIFFERENCES, "graph", "bf16", 15),
    (R3GAN_CIFAR, "plain", "bf16", 15),
)


class Plan(NamedTuple):
    """One line of the table."""

    recipe: Recipe
    label: str
    precision: str
    make: Callable[[], Callable[[], Any]]
    needs: float = 0.0  # seconds, about


def plans(device: str, full: bool) -> Iterator[Plan]:
    """First what is quick; with `full` every recipe in every way."""
    chosen = list(CHOSEN)
    if full:
        every = [(recipe, way, precision) for recipe in RECIPES for precision in PRECISIONS for way in NAMES]
        every.append((R3GAN_FFHQ, PEERS[1], "bf16"))
        known = [(recipe.name, way, precision) for recipe, way, precision, _ in CHOSEN]
        chosen += [(*each, 0.0) for each in every if (each[0].name, *each[1:]) not in known]
    for recipe, way, precision, needs in chosen:
        make: Callable[[], Callable[[], Any]]
        if way in NAMES:
            label = f"gan-exp, {NAMES[way][0]}, {precision}"
            make = partial(Step, recipe, device, way, cast(Precision, precision))
        elif way == PEERS[0]:
            label, make = "peer: a plain PyTorch loop, torch's defaults", partial(PlainLoop, recipe, device)
        else:
            label, make = "peer: R3GAN's loop, bf16, NCHW", partial(R3GANLoop, recipe, device)
        yield Plan(recipe, label, precision, make, needs)


def row(plan: Plan, speed: Speed, operations: float, rates: dict[str, float]) -> list[str]:
    """As `HEADINGS`."""
    seconds = speed.seconds
    images = plan.recipe.batch * plan.recipe.n_critic / seconds
    return [
        plan.label,
        f"{images:,.0f}",
        f"{1000 / images:.2f}" if images < 1e5 else f"{1000 / images:.3f}",
        f"{1 / seconds:,.0f}" if seconds < 0.01 else f"{1 / seconds:.2f}",
        f"{speed.memory_gib:.2f} GiB",
        f"{100 * operations / seconds / rates[plan.precision]:.1f} %",
        f"{speed.first_seconds:.1f} s",
    ]


def line(cells: Sequence[str]) -> str:
    first, *others = cells
    return " ".join([f"  {first:<{WIDTHS[0]}}", *(c.rjust(w) for c, w in zip(others, WIDTHS[1:], strict=True))])


def run(
    chosen: Sequence[Plan], device: str, seconds: float, rates: dict[str, float], speak: Callable[[str], None]
) -> Table:
    """Measures, says each line as soon as it is there, and returns the table."""
    began, found, recipe, operations = time.perf_counter(), [["recipe", *HEADINGS]], None, 0.0
    for plan in chosen:
        if plan.recipe is not recipe:
            recipe = plan.recipe
            operations = recipe.operations(device)
            speak(f"{recipe.name}, {operations / recipe.batch / 1e9:,.2f} GFLOP an image")
            if groups := merged_groups(recipe, cast(Precision, plan.precision), device)[1]:
                speak(f"  {groups}")
        if time.perf_counter() - began + plan.needs > seconds:
            speak(f"  {plan.label}: left out, for there is no time left (--full measures all)")
            continue
        torchs_defaults()
        try:
            speed = measure(plan.make, device)
        except RuntimeError as error:  # out of memory too
            speak(f"  {plan.label}: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
            tidy(device)
            continue
        cells = row(plan, speed, operations, rates)
        speak(line(cells))
        found.append([recipe.name, *cells])
    return found


def main(words: Sequence[str] | None = None) -> int:
    options = _options(words)
    if not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to measure; `make bench` measures the CPU")
        return 2
    where = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    where = f"{where}; {sentence(describe_machine(torch.get_num_threads()))}"
    print(where, flush=True)
    rates = matrix_rates("cuda", 8192)
    print("large products: " + ", ".join(f"{name} {rate / 1e12:.0f} TFLOP/s" for name, rate in rates.items()))
    print(line(HEADINGS), flush=True)
    chosen = [plan for plan in plans("cuda", options.full) if options.only in plan.recipe.name.lower()]
    seconds = float("inf") if options.full else options.seconds
    found = run(chosen, "cuda", seconds, rates, lambda text: print(text, flush=True))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json_text({"where": where, "rates": rates, "table": found}, indent=1), encoding="utf-8")
    if options.docs:
        text = f"{as_markdown(found)}\n\nMedians. {where}."
        write_section(ROOT / "docs/performance.md", "GPU", text, "benchmarks.speed.gpu")
    return 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all recipes in all ways, however long it takes")
    parser.add_argument("--seconds", type=float, default=100, help="after which nothing new is begun")
    parser.add_argument("--only", default="", help="recipes whose name holds this, in small letters")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
