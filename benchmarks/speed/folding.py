"""`python -m benchmarks.speed.folding`: ResNet's and FastGAN's training steps with the doubling and halving of images
folded into convolutions, and with torch's own layers one after the other, on one core.

Times are those of the thread on its core, so that other processes disturb them less; both take turns in one process.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.precision import step_of
from benchmarks.speed.report import write_section
from benchmarks.tables import Table, as_markdown, as_text
from gan_exp.models import fastgan, resnet

STEPS = [  # networks, pixels a side, batch, other words
    ("resnet", 32, 32, 64, ""),
    ("resnet", 64, 32, 16, ""),
    ("resnet", 32, 64, 16, ""),
    ("resnet", 32, 32, 32, "penalty=r1"),
    ("resnet", 32, 32, 32, "loss=wgan penalty=wgan_gp"),
    ("resnet", 32, 32, 32, "loss=hinge spectral_norm=true n_critic=5"),
    ("fastgan", 8, 64, 16, ""),
    ("fastgan", 16, 64, 16, ""),
    ("fastgan", 16, 64, 16, "model.discriminator.batch_norm=false penalty=r1"),
]
PRECISIONS = "float32", "bf16"


def doubled(layer: nn.Conv2d, features: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    enlarged = interpolate(features, scale_factor=2.0) if size is None else interpolate(features, size)
    return layer(enlarged)  # type: ignore[no-any-return]


def halved(layer: nn.Conv2d, features: Tensor) -> Tensor:
    return avg_pool2d(layer(features), 2, ceil_mode=True)


@contextmanager
def not_folded() -> Iterator[None]:
    before = resnet.convolve_doubled, resnet.convolve_halved
    resnet.convolve_doubled = fastgan.convolve_doubled = doubled
    resnet.convolve_halved = halved
    try:
        yield
    finally:
        resnet.convolve_doubled, resnet.convolve_halved = before
        fastgan.convolve_doubled = before[0]


def milliseconds(step: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians without and with folding, after a step of each that doesn't count."""
    found: tuple[list[float], list[float]] = [], []
    for number in range(rounds + 1):
        for folded, times in enumerate(found):
            began = time.thread_time()
            if folded:
                step()
            else:
                with not_folded():
                    step()
            if number:
                times.append(1e3 * (time.thread_time() - began))
    return median(found[0]), median(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a round of the first step")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--docs", action="store_true", help="write the table in docs/performance.md")
    parser.add_argument("--note", default="", help="what else ran on the machine, for the line below the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: Table = [["networks, image, batch", *(f"{each}: apart, folded, ratio" for each in PRECISIONS)]]
    for model, width, side, batch, words in STEPS[:1] if options.quick else STEPS:
        cells = []
        for precision in PRECISIONS:
            wide = [f"model.{network}.width={width}" for network in ("generator", "discriminator")]
            data = ["dataset=bench_digits", "dataset.count=512", f"dataset.size={side}", f"batch_size={batch}"]
            make = partial(step_of, [f"model={model}", *wide, *data, "device=cpu", "device.threads=1", *words.split()])
            apart, folded = milliseconds(make(precision), 1 if options.quick else options.rounds)
            cells.append(f"{apart:.0f}, {folded:.0f} ms, {folded / apart:.2f}")
        rows.append([f"{model}, width {width}, {side}x{side}, {batch}" + (f", `{words}`" if words else ""), *cells])
        print("  ".join(rows[-1]), flush=True)
    print(as_text(rows))
    if options.docs:
        machine = sentence(describe_machine(1, None))
        note = f"Thread time, medians of {options.rounds} rounds. {machine}; {options.note}".rstrip("; ")
        write_section("speed folding", f"{as_markdown(rows)}\n\n{note}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
