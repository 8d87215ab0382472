"""`python -m benchmarks.speed.packing`: a folder of small images, from the command to its last step or line.

Crops of two photographs, in PNG files of 32x32, are packed by `gan-exp train` (20 steps) and by `gan-exp data`, each
a process of its own. Cold: nothing has been packed, though the files are in the system's cache. Warm: an earlier run
has packed them. Memory is that of further runs, since looking at it stops a process for a moment: the largest sum of
the resident sets of all processes of a command, where pages that several processes share count once (PSS); other
programs that have imported torch make its libraries' part look smaller. What belongs to no file is told apart: the
rest, which are those libraries and the packed images, the system may drop.

The package's modules are compiled before, as an installed package's are.
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.report import save_results, spread
from benchmarks.speed.startup import FIRST, GAN_EXP
from benchmarks.tables import ROOT, as_markdown, as_text, write_section

SIDE = 32
PER_FOLDER = 1000
PAUSE = 0.02  # seconds between two looks at the output
LOOK_EVERY = 0.1  # seconds between two looks at the memory
COLUMNS = ("s to the first step", "s to the end", "CPU s", "MiB of no file", "MiB in all")


class Cost(NamedTuple):
    to_first_step: float  # not a number where there are no steps
    to_end: float
    cpu_seconds: float  # of all processes, user and system
    private: float  # mebibytes that belong to no file, at their peak
    resident: float  # mebibytes in all, at their peak


def write_crops(folder: Path, count: int) -> None:
    """`count` files, some thousand in each folder: crops of scikit-learn's two photographs, some of them mirrored."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = photographs[number % len(photographs)]
        top, left = (random.integers(0, length - SIDE) for length in pixels.shape[:2])
        crop = pixels[top : top + SIDE, left : left + SIDE, :: random.choice((-1, 1))]
        place = folder / f"{number // PER_FOLDER:03d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(crop)).save(place / f"{number:06d}.png")


def processes_of(pid: int) -> Iterator[int]:
    """The process and all that it has started."""
    yield pid
    try:
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # it has just ended
        return
    for child in children.split():
        yield from processes_of(int(child))


def resident(pid: int) -> tuple[float, float]:
    """The mebibytes of all processes: those that belong to no file, and all."""
    total = of_files = 0
    for process in processes_of(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        total += sizes["Pss"]
        of_files += sizes["Pss_File"]
    return (total - of_files) / 1024, total / 1024


def cost_of(words: list[str], folder: Path, prepare: Callable[[], object]) -> Cost:
    """Of two runs, before each of which everything is prepared: one is timed, the other's memory is looked at."""
    prepare()
    seconds = time_of(words, folder)
    prepare()
    return Cost(*seconds, *memory_of(words, folder))


def time_of(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds to the first step and to the end, and those of all cores."""
    before, began = os.times(), time.perf_counter()
    to_first_step = math.nan
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(words, cwd=folder, stdout=output)
        while process.poll() is None:
            time.sleep(PAUSE)
            if math.isnan(to_first_step) and f"\n{FIRST}" in os.pread(output.fileno(), 1 << 20, 0).decode():
                to_first_step = time.perf_counter() - began
    assert process.returncode == 0, f"{' '.join(words)} failed"
    after, to_end = os.times(), time.perf_counter() - began
    return to_first_step, to_end, sum(after[2:4]) - sum(before[2:4])


def memory_of(words: list[str], folder: Path) -> tuple[float, float]:
    """Mebibytes at their peaks: those that belong to no file, and all."""
    private = total = 0.0
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(LOOK_EVERY)
        found = resident(process.pid)
        private, total = max(private, found[0]), max(total, found[1])
    assert process.returncode == 0, f"{' '.join(words)} failed"
    return private, total


def targets(found: dict[str, list[Cost]]) -> str:
    """What is aimed at for 50,000 images on two cores, and the medians: seconds and, over all commands, memory."""
    middle = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in found.items()}
    cold, warm = middle["gan-exp train, cold"], middle["gan-exp train, warm"]
    return "\n".join(
        [
            f"first step, cold: {cold.to_first_step:.1f} s (aim 20)",
            f"first step, warm: {warm.to_first_step:.1f} s (aim 4)",
            f"resident at the peak of training: {max(cold.private, warm.private):,.0f} MiB of no file, "
            f"{max(cold.resident, warm.resident):,.0f} MiB in all (aim 477, which are 500 MB)",
            *(
                f"{name}: {cost.to_end:.1f} s, {cost.resident:,.0f} MiB"
                for name, cost in middle.items()
                if "data" in name
            ),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000, help="how many (default 50,000)")
    parser.add_argument("--repeats", type=int, default=3, help="of each command (default 3)")
    parser.add_argument("--data", type=Path, help="a folder of images, to be used instead of crops")
    parser.add_argument("--quick", action="store_true", help="2,000 images, once")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/own-images.md")
    options = parser.parse_args()
    count, repeats = (2_000, 1) if options.quick else (options.images, options.repeats)
    machine = describe_machine(os.cpu_count() or 1)
    print(sentence(machine), flush=True)
    found: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        work = Path(place)
        images, cache = options.data or work / "images", work / "cache"
        os.environ["GAN_EXP_CACHE"] = str(cache)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        if options.data is None:
            write_crops(images, count)
        settings = [
            "dataset=folder",
            f"dataset.root={images}",
            f"dataset.size={SIDE}",
            "steps=20",
            "log_every_steps=1",
            "display=plain",
        ]
        commands = {
            "gan-exp train": [GAN_EXP, "train", *settings],
            "gan-exp data": [GAN_EXP, "data", str(images), "--size", str(SIDE), "--force"],
        }
        states = {"cold": partial(shutil.rmtree, cache, ignore_errors=True), "warm": lambda: None}
        for words in commands.values():
            time_of(words, work)  # compiles
        for _ in range(repeats):
            for name, words in commands.items():
                for state, prepare in states.items():
                    found.setdefault(f"{name}, {state}", []).append(cost_of(words, work, prepare))
                    print(f"{name}, {state}: {found[f'{name}, {state}'][-1]}", flush=True)
    rows = [["medians (quartiles)", *COLUMNS]]
    for name, costs in found.items():
        columns = [[float(value) for value in column] for column in zip(*costs, strict=True)]
        cells = [spread(column, 1 if n < 3 else 0) for n, column in enumerate(columns)]
        rows.append([name, *("" if "nan" in cell else cell for cell in cells)])
    print(as_text(rows))
    print(targets(found))
    save_results("packing", {"machine": machine, "images": count, "found": found})
    if options.docs:
        counts = f"{count:,} PNG files of {SIDE}x{SIDE}, {repeats} runs of each command"
        text = f"{as_markdown(rows)}\n\n{counts}. {sentence(machine)}."
        write_section(ROOT / "docs/own-images.md", "packing", text, "benchmarks.speed.packing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
