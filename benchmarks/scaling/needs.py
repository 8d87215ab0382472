"""`python -m benchmarks.scaling.needs`: the memory that runs are estimated to need, beside the memory that they take.

Each run is `gan-exp train` in a process of its own, on random images; what it takes is its highest resident memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image

from benchmarks.machine import describe_machine, sentence
from benchmarks.tables import ROOT, Table, as_markdown, as_text, write_section

WIDE = "model.generator.width=64 model.discriminator.width=64"
RUNS = (
    (64, "model=mlp penalty=r1"),
    (64, "model=dcgan penalty=none"),
    (64, f"model=dcgan penalty=r1_r2 {WIDE}"),
    (32, "model=resnet penalty=none spectral_norm=true"),
    (64, "model=resnet penalty=r1"),
    (64, "model=resnet penalty=r1 model.checkpointing=true"),
    (64, "model=fastgan penalty=none"),
    (64, "model=fastgan penalty=r1_r2"),
    (64, "model=fastgan penalty=r1_r2 model.checkpointing=true"),
    (32, "model=r3gan loss=rpgan penalty=none"),
    (32, "model=r3gan loss=rpgan penalty=r1_r2"),
    (32, "model=r3gan loss=rpgan penalty=r1_r2 micro_batch_size=8"),
    (32, "model=r3gan loss=rpgan penalty=r1_r2 model.checkpointing=true"),
)
STEPS = 6


def main() -> int:
    options = _options()
    rows = [["run", "estimated", "measured", "error"]]
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        _write_images(images, 64)
        for number, (side, words) in enumerate(RUNS):
            size = 16 if options.quick else side
            estimated, measured = measure(images, size, words.split(), Path(place) / f"run-{number}")
            sizes = [f"{value / 1e6:,.0f} MB" for value in (estimated, measured)]
            rows.append([f"{size}x{size}, `{words}`", *sizes, f"{estimated / measured - 1:+.0%}"])
            print(rows[-1], flush=True)
    print(as_text(rows))
    if options.docs:
        _write(rows)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling.needs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images, to test that it runs")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    return parser.parse_args()


def _write_images(folder: Path, side: int) -> None:
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for number in range(64):
        pixels = torch.randint(256, (side, side, 3), dtype=torch.uint8, generator=rng)
        Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")


def measure(images: Path, side: int, words: list[str], run: Path) -> tuple[int, int]:
    """The bytes that the run was estimated to need, and those that its process took at most."""
    data = ["dataset=folder", f"dataset.root={images}", f"dataset.size={side}", f"dataset.cache={run}-cache"]
    rhythm = [f"steps={STEPS}", "display=quiet", "device=cpu", "device.threads=1", f"hydra.run.dir={run}"]
    process = subprocess.Popen([sys.executable, "-m", "gan_exp", "train", *data, *words, *rhythm])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: ended with {process.returncode}")
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    return environment["needs"]["memory"], used.ru_maxrss * 1024


def _write(rows: Table) -> None:
    text = f"{as_markdown(rows)}\n\n{STEPS} steps in one thread. {sentence(describe_machine(1))}"
    write_section(ROOT / "docs/performance.md", "needs", text, "benchmarks.scaling.needs")


if __name__ == "__main__":
    sys.exit(main())
