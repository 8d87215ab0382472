"""`python -m benchmarks.scaling.samples --data FOLDER`: one GAN in one process and in two, on the same cores.

Two processes with one core each, beside one process with as many threads: the time of both, and how far their samples
of the same latents are apart. In float32 sums are rounded in another order, and training makes small differences large;
one process with one thread shows how large without any second process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import describe_machine, sentence
from benchmarks.scaling.__main__ import DOCUMENT
from benchmarks.speed.data import mnist_folder
from benchmarks.speed.report import spread
from benchmarks.tables import Table, as_markdown, as_text, write_section

KINDS = {
    "1 process, 2 threads": ("device.threads=2",),
    "2 processes, 1 thread each": ("device.processes=2", "device.threads=1"),
    "1 process, 1 thread": ("device.threads=1",),
}
FIRST = next(iter(KINDS))


def main() -> int:
    options = _options()
    grids = 2 if options.quick else 20
    steps = grids if options.quick else options.steps
    machine = describe_machine(2)
    print(sentence(machine), flush=True)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    apart: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        for repeat in range(1 if options.quick else options.repeats):
            for kind, words in KINDS.items():
                run = Path(place) / f"{kind}-{repeat}"
                seconds[kind].append(_train(run, [*_words(options.data), *words], steps, steps // grids))
                print(f"{kind}: {seconds[kind][-1]:.1f} s", flush=True)
        looked_at = sorted({1, grids // 4, grids // 2, grids} - {0})
        for kind in KINDS:
            apart[kind] = [
                difference(*(_grid(Path(place) / f"{one}-0", steps // grids * k) for one in (FIRST, kind)))
                for k in looked_at
            ]
    rows = table(seconds, apart, [steps // grids * k for k in looked_at], steps)
    print(as_text(rows))
    if options.docs:
        protocol = (
            f"`{' '.join(word for word in _words(options.data) if not word.startswith('dataset.root'))}`, {steps} "
            f"steps; the time of its loop, and differences of the sample grids' pixels, of 255: the mean, and the "
            f"largest.\n{sentence(machine)}."
        )
        write_section(DOCUMENT, "samples", f"{as_markdown(rows)}\n\n{protocol}", "benchmarks.scaling.samples")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.samples", description=__doc__)
    parser.add_argument("--data", type=mnist_folder, help="the folder that holds MNIST/raw; without it, the digits")
    parser.add_argument("--steps", type=int, default=600, help="a multiple of 20")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two steps on the digits, to test that it runs")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/scaling.md")
    return parser.parse_args()


def _words(data: str | None) -> list[str]:
    of_data = ["dataset=digits"] if data is None else [f"dataset.root={data}"]
    return ["experiment=dcgan_mnist", *of_data, "device=cpu"]


def _train(run: Path, words: Sequence[str], steps: int, every: int) -> float:
    """Seconds of the training loop."""
    given = [*words, f"steps={steps}", f"sample_every_steps={every}", "display=quiet", f"hydra.run.dir={run}"]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-m", "gan_exp", "train", *given], env=environment, cwd=run.parent, check=True)
    seconds: float = json.loads((run / "status.json").read_text())["train_seconds"]
    return seconds


def _grid(run: Path, step: int) -> NDArray[np.int16]:
    return np.asarray(Image.open(run / f"samples/step-{step:08d}.png"), dtype=np.int16)


def difference(first: NDArray[np.int16], second: NDArray[np.int16]) -> str:
    """The mean and the largest."""
    found = np.abs(first - second)
    return f"{found.mean():.3f}; {found.max()}"


def table(seconds: dict[str, list[float]], apart: dict[str, list[str]], steps: Sequence[int], last: int) -> Table:
    rows = [["processes", f"{last} steps", "times as fast", *(f"apart at step {step}" for step in steps)]]
    for kind, taken in seconds.items():
        gain = mean(first / own for first, own in zip(seconds[FIRST], taken, strict=True))
        away = ["" for _ in steps] if kind == FIRST else apart[kind]
        rows.append([kind, f"{spread(taken, 1)} s", f"{gain:.2f}", *away])
    return rows


if __name__ == "__main__":
    sys.exit(main())
