"""`python -m benchmarks.speed.precision`: training steps in float32 and in bfloat16, NCHW and channels last, on a CPU.

All variants of a network take their steps by turns in one process; a speedup is the median ratio of times in a round.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch.nn.functional import glu

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.ours import load_config
from benchmarks.speed.report import save_results, write_section
from benchmarks.tables import Table, as_markdown, as_text
from gan_exp.models import fastgan
from gan_exp.runtime.device import prepare_device
from gan_exp.training.assembly import build_inputs
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.step import train_step

WIDTHS = {"dcgan": (16, 64), "resnet": (32, 64, 128), "fastgan": (16, 32), "r3gan": (32, 64)}
VARIANTS = (("float32", False), ("float32", True), ("bf16", False), ("bf16", True))  # precision, channels last
WARM_UPS = 2


def main() -> int:
    options = _options()
    torch.set_num_threads(options.threads)
    machine = describe_machine(options.threads, None)
    print(sentence(machine), flush=True)
    rows: Table = [["networks", "float32 NCHW", "float32", "bf16 NCHW", "bf16", "bf16 against float32"]]
    results = {}
    for model in options.only.split(","):
        for width in WIDTHS[model][: 1 if options.quick else None]:
            seconds = measure(words(model, width, options), options.rounds)
            results[f"{model} {width}"] = seconds
            rows.append([f"{model}, width {width}", *_cells(seconds)])
            print("  ".join(rows[-1]), flush=True)
    print(as_text(rows))
    save_results("precision", {"machine": machine, "options": vars(options), "seconds": results})
    if options.docs:
        title = f"**Seconds of a training step, {options.size}x{options.size}, batch {options.batch}**"
        note = f"Medians of {options.rounds} rounds. {sentence(machine)}; {options.note}".rstrip("; ")
        write_section("speed precision", f"{title}\n\n{as_markdown(rows)}\n\n{note}.")
    return 0


def words(model: str, width: int, options: argparse.Namespace) -> list[str]:
    wide = [f"model.{network}.width={width}" for network in ("generator", "discriminator")]
    if model == "r3gan":
        wide += [f"model.{network}.max_width={4 * width}" for network in ("generator", "discriminator")]
    penalty = ["penalty=r1_r2", "loss=rpgan"] if model == "r3gan" else []
    data = ["dataset=bench_digits", "dataset.count=512", f"dataset.size={options.size}"]
    rest = [f"batch_size={options.batch}", "device=cpu", f"device.threads={options.threads}"]
    return [f"model={model}", *wide, *penalty, *data, *rest]


def measure(overrides: Sequence[str], rounds: int) -> list[list[float]]:
    """The seconds of each variant's steps, one a round."""
    steps = [partial(step_of, overrides, *variant)() for variant in VARIANTS]
    seconds: list[list[float]] = [[] for _ in steps]
    for number in range(WARM_UPS + rounds):
        for step, found in zip(steps, seconds, strict=True):
            began = time.perf_counter()
            step()
            if number >= WARM_UPS:
                found.append(time.perf_counter() - began)
    return seconds


def step_of(overrides: Sequence[str], precision: str, channels_last: bool = True) -> Callable[[], object]:
    """A plain training step, always on the same batch: it is the networks that are measured."""
    config = load_config([*overrides, f"device.precision={precision}", "fast_path=plain"])
    with _layout(channels_last):
        device = prepare_device(config.device)
        data = build_data(config, device)
        state, step_config = build_state(config, data.spec, device), build_step_config(config)
    inputs = build_inputs(config, data, step_config, device)
    discriminator, generator = inputs.discriminator(0), inputs.generator(0)

    def step() -> None:
        with _layout(channels_last):
            train_step(state, step_config, discriminator, generator)

    return step


@contextmanager
def _layout(channels_last: bool) -> Iterator[None]:
    """The networks ask for channels last by its name in torch; without it they are NCHW.

    FastGAN's gates are then torch's own: its form of them is for channels last.
    """
    before = torch.channels_last, fastgan.gate
    if not channels_last:
        torch.channels_last, fastgan.gate = torch.contiguous_format, partial(glu, dim=1)
    try:
        yield
    finally:
        torch.channels_last, fastgan.gate = before


def _cells(seconds: list[list[float]]) -> list[str]:
    ratios = [ours / other for ours, other in zip(seconds[3], seconds[1], strict=True)]
    return [*(f"{statistics.median(found):.3f}" for found in seconds), f"{statistics.median(ratios):.2f}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="32x32, the narrowest of each network, three rounds")
    add("--only", default=",".join(WIDTHS), metavar="MODEL,...", help="dcgan, resnet, fastgan, r3gan (default all)")
    add("--threads", type=int, default=2)
    add("--size", type=int, default=64, help="pixels a side (default 64)")
    add("--batch", type=int, default=16, help="images (default 16)")
    add("--rounds", type=int, default=9)
    add("--docs", action="store_true", help="write the table in docs/performance.md")
    add("--note", default="", help="what else ran on the machine, for the line below the table")
    options = parser.parse_args()
    if options.quick:
        options.size, options.rounds = 32, 3
    return options


if __name__ == "__main__":
    raise SystemExit(main())
