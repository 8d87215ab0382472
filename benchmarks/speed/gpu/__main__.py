"""`python -m benchmarks.speed.gpu`: training steps on a CUDA GPU, a line at a time, within two minutes.

Each recipe is measured in several ways: gan-exp's own steps, plain and captured; a peer's loop, written afresh after
its description; and, named "variant", ways to compute the same step that gan-exp does not have. Times are medians of
chunks after a warm-up; the draws are part of the step, logging is not. Images are those shown to D.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.gpu import package
from benchmarks.speed.gpu.measure import Speed, matrix_rates, measure, set_precision, tidy
from benchmarks.speed.gpu.package import ARTICLE, DCGAN_64, R3GAN_CIFAR, R3GAN_FFHQ, SNGAN_CIFAR, Recipe
from benchmarks.speed.gpu.r3gan import Steps, Way
from benchmarks.speed.gpu.recipes import CHUNK, SNGAN, Article, Chunks
from benchmarks.speed.gpu.traced import captured, traced
from benchmarks.tables import ROOT, Table, as_markdown, write_section
from gan_exp.runtime.files import json_text

RESULTS = Path(__file__).parents[1] / "results/gpu.json"
HEADINGS = ["steps", "img/s", "s/kimg", "steps/s", "memory", "of the chip's rate", "first step"]
WIDTHS = (66, 8, 8, 8, 10, 18, 10)


class Plan(NamedTuple):
    """One line of the table."""

    recipe: Recipe
    label: str
    precision: str
    make: Callable[[], Callable[[], Any]]
    needs: float = 3.0  # seconds, about
    batch: int | None = None  # where it is not the recipe's
    search: bool = False  # cuDNN times its algorithms, as `gan-exp train` lets it
    steps: int = 1  # of training in one call


def plans(device: str, full: bool) -> Iterator[Plan]:
    """In this order; first what is quick."""
    on_gpu = device != "cpu"

    def own(recipe: Recipe, how: str, precision: str, needs: float = 3.0, search: bool = False) -> Plan:
        make = lambda: package.step_of(recipe, device, how == "captured" and on_gpu)  # noqa: E731
        return Plan(recipe, f"gan-exp, {how}, {precision}", precision, make, needs, search=search)

    yield own(ARTICLE, "plain", "float32")
    yield own(ARTICLE, "captured", "float32")
    yield own(ARTICLE, "captured", "tf32")
    for precision in ("float32", "tf32"):
        label = f"variant: traced, compiled and captured, {precision}"
        yield Plan(ARTICLE, label, precision, lambda: _article(ARTICLE, device), 15, steps=CHUNK)
    for recipe in (R3GAN_CIFAR, R3GAN_FFHQ):
        yield from _r3gan(recipe, device, full)
    for recipe, needs in ((DCGAN_64, 4), (SNGAN_CIFAR, 6)):
        yield own(recipe, "plain", "float32", needs, search=True)
        yield own(recipe, "captured", "float32", needs, search=True)
        yield own(recipe, "captured", "tf32", needs, search=True)
    yield Plan(SNGAN_CIFAR, "variant: captured, bf16, channels last", "bf16", lambda: _sngan(device, False), 5)
    label = "variant: traced, compiled and captured, bf16, channels last"
    yield Plan(SNGAN_CIFAR, label, "bf16", lambda: _sngan(device, True), 60)


def _r3gan(recipe: Recipe, device: str, full: bool) -> Iterator[Plan]:
    bf16 = torch.bfloat16
    fast = Way(bf16, fast=True, channels_last=True)
    fused = replace(fast, fused=True)
    exact = Way(fast=True)

    def plan(label: str, precision: str, way: Way, needs: float = 4, **options: Any) -> Plan:
        batch = options.pop("batch", recipe.batch)
        make = lambda: _r3gan_step(recipe, device, way, batch, **options)  # noqa: E731
        return Plan(recipe, label, precision, make, needs, None if batch == recipe.batch else batch)

    whole = full or recipe is R3GAN_CIFAR
    if whole:
        make = lambda: package.step_of(recipe, device, False)  # noqa: E731
        yield Plan(recipe, "gan-exp, plain, float32", "float32", make, 9)
    yield plan("peer: R3GAN's loop, bf16, NCHW", "bf16", Way(bf16), gathered=True)
    if whole:
        yield plan("variant: layers, float32", "float32", exact, 6)
        yield plan("variant: layers, tf32", "tf32", exact)
        yield plan("variant: layers, bf16, channels last", "bf16", fast)
    yield plan("variant: layers, bf16, channels last, captured", "bf16", fast, capture=True)
    yield plan("the same, fused activation", "bf16", fused, 8, capture=True)
    if whole:
        yield plan("the same, in two micro-batches", "bf16", fused, capture=True, micro_batches=2)
        yield plan("the same, whole batch, finite differences", "bf16", fused, capture=True, finite_differences=True)
    if full:
        yield plan("the same, exact, batch 512 in eight", "bf16", fused, 8, batch=512, micro_batches=8, capture=True)


def _r3gan_step(
    recipe: Recipe, device: str, way: Way, batch: int, capture: bool = False, **options: Any
) -> Callable[[], Any]:
    steps = Steps(way, device, recipe.shape[1], recipe.generator_model, recipe.latent_dim, **options)
    reals = torch.rand(batch, *recipe.shape, device=device) * 2 - 1
    if not capture or device == "cpu":
        return lambda: steps.step(reals)
    return captured(lambda: steps.step(reals), [steps.random])


def _article(recipe: Recipe, device: str) -> Callable[[], Any]:
    """`CHUNK` steps, for which the CPU draws while the GPU has the ones before."""
    chunks = Chunks(Article(*recipe.networks(device), recipe.noise(device), recipe.batch), recipe.latent_dim)
    chunks.fill()
    step = traced(chunks.step, device, compiled=device != "cpu")
    step = step if device == "cpu" else captured(step)

    def run_once() -> None:
        chunks.fill()
        for _ in range(CHUNK):
            step()

    return run_once


def _sngan(device: str, compiled: bool) -> Callable[[], Any]:
    recipe = SNGAN_CIFAR
    sngan = SNGAN(*recipe.networks(device), recipe.noise(device), recipe.batch, recipe.n_critic)
    step = sngan.step
    if compiled:
        discriminator, generator = (
            traced(update, device, device != "cpu") for update in (sngan.update_discriminator, sngan.update_generator)
        )

        def step() -> None:
            for _ in range(recipe.n_critic):
                discriminator()
            generator()

    return step if device == "cpu" else captured(step)


def row(plan: Plan, speed: Speed, operations: float, rates: dict[str, float]) -> list[str]:
    """As `HEADINGS`."""
    batch = plan.batch or plan.recipe.batch
    seconds = speed.seconds / plan.steps
    images = batch * plan.recipe.n_critic / seconds
    share = operations * batch / plan.recipe.batch / seconds / rates[plan.precision]
    return [
        plan.label,
        f"{images:,.0f}",
        f"{1000 / images:.2f}" if images < 1e5 else f"{1000 / images:.3f}",
        f"{1 / seconds:,.0f}" if seconds < 0.01 else f"{1 / seconds:.2f}",
        f"{speed.memory_gib:.2f} GiB",
        f"{100 * share:.1f} %",
        f"{speed.first_seconds:.1f} s",
    ]


def line(cells: Sequence[str]) -> str:
    first, *others = cells
    return " ".join([f"  {first:<{WIDTHS[0]}}", *(c.rjust(w) for c, w in zip(others, WIDTHS[1:], strict=True))])


def run(
    chosen: Sequence[Plan], device: str, seconds: float, rates: dict[str, float], speak: Callable[[str], None]
) -> Table:
    """Measures, says each line as soon as it is there, and returns the table."""
    began, found, recipe = time.perf_counter(), [["recipe", *HEADINGS]], None
    operations = 0.0
    for plan in chosen:
        if plan.recipe is not recipe:
            recipe = plan.recipe
            operations = recipe.operations(device)
            speak(f"{recipe.name}, {operations / recipe.batch / 1e9:,.2f} GFLOP an image")
        if time.perf_counter() - began + plan.needs > seconds:
            speak(f"  {plan.label}: left out, for there is no time left (--full measures all)")
            continue
        set_precision(plan.precision)
        torch.backends.cudnn.benchmark = plan.search
        try:
            speed = measure(plan.make, device)
        except (RuntimeError, torch.OutOfMemoryError) as error:
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
    parser.add_argument("--seconds", type=float, default=110, help="after which nothing new is begun")
    parser.add_argument("--only", default="", help="recipes whose name holds this, in small letters")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
