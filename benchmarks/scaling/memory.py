"""`python -m benchmarks.scaling.memory`: the memory that a training step takes, by the size of its micro-batches.

Each row is measured in a process of its own, on random images. On a CPU it is how much the process grows beyond what
it is with networks and data, on a GPU the most that torch has allocated beyond them.
"""

import argparse
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section
from gan_exp.config.check import check
from gan_exp.config.compose import compose
from gan_exp.data.packed import PackedImages
from gan_exp.training.assembly import build_inputs
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.step import train_step

NETWORKS = {
    "dcgan with R1": ("model=dcgan", "penalty=r1", "model.generator.width=128", "model.discriminator.width=128"),
    "r3gan with R1 and R2": ("model=r3gan", "loss=rpgan", "penalty=r1_r2"),
}


def main() -> int:
    options = _options()
    side, batch = (16, 16) if options.quick else (32, 32)
    sizes = [batch // parts for parts in (1, 2, 4, 8)]
    rows = [["networks", "images at once", "memory of a step"]]
    for name, words in NETWORKS.items():
        for size in sizes:
            given = [*words, f"batch_size={batch}", f"micro_batch_size={size}", f"device={options.device}"]
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                grown = process.submit(measure, given, side).result()
            shown = f"{size} of {batch}" if size < batch else f"all {batch}"
            rows.append([name, shown, f"{grown / 2**20:,.0f} MB"])
            print(rows[-1], flush=True)
    print(as_text(rows))
    if options.docs:
        _write(rows, side, options.device)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.memory", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="small images, to test that it runs")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/scaling.md")
    return parser.parse_args()


def measure(words: list[str], side: int) -> int:
    """The bytes that a step takes beyond networks and data."""
    config = check(compose([*words, "fast_path=plain"]).plain)
    device = torch.device(config.device.name)
    data = PackedImages(torch.randint(256, (256, 3, side, side), dtype=torch.uint8))
    state, step_config = build_state(config, data.spec, device), build_step_config(config)
    inputs = build_inputs(config, data, step_config, device)
    before = _memory(device)
    train_step(state, step_config, inputs.discriminator(0), inputs.generator(0))
    return _memory(device) - before


def _memory(device: torch.device) -> int:
    """The most so far, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _write(rows: Table, side: int, device: str) -> None:
    text = f"{as_markdown(rows)}\n\nImages of {side}x{side}x3, on {'a CPU' if device == 'cpu' else 'a GPU'}."
    write_section(ROOT / "docs/scaling.md", "micro-batches", text, "benchmarks.scaling.memory")


if __name__ == "__main__":
    sys.exit(main())
