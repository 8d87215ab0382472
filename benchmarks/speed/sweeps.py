"""`python -m benchmarks.speed.sweeps`: what a sweep's runs cost beside their steps, and what two at a time gain.

A sweep of short runs on the digits is trained with one run at a time, with one kept to one thread, and with two at a
time, alternately, each by the command that a user starts. A lone run may use both cores where that is faster, so the
first comparison asks what a user gains, and the second what the launcher loses. The overhead of a run is the sweep's
time, one run at a time, without what the runs themselves say that they trained, divided by the number of runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.report import save_results, spread
from benchmarks.speed.startup import GAN_EXP
from benchmarks.tables import as_text

SMALL = ("model=mlp", "model.generator.widths=[64]", "model.discriminator.widths=[64]")
NETWORKS = {"plain": (), "small": SMALL}
KINDS = {
    "one at a time": ("--jobs", "1"),
    "one at a time, one thread": ("--jobs", "1", "device.threads=1"),
    "two at a time": ("--jobs", "2"),
}
ONE, ONE_THREAD, TWO = KINDS


def seconds(folder: Path, kind: str, settings: Sequence[str], runs: int, steps: int) -> tuple[float, float]:
    """Of the whole sweep, and the sum of what its runs spent on training."""
    place = folder / str(time.monotonic_ns())
    every = [f"{key}_every_steps={steps}" for key in ("log", "sample", "checkpoint")]
    words = [f"steps={steps}", *every, f"seed=range(0,{runs})", "device=cpu", "display=plain"]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    began = time.perf_counter()
    subprocess.run(
        [GAN_EXP, "train", "-m", *KINDS[kind], *settings, *words, f"hydra.sweep.dir={place}"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    whole = time.perf_counter() - began
    statuses = [json.loads(path.read_text()) for path in place.glob("*/status.json")]
    assert len(statuses) == runs
    return whole, sum(status["train_seconds"] for status in statuses)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=24, help="of each sweep (default 24)")
    parser.add_argument("--steps", type=int, default=1500, help="of each run (default 1500)")
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each kind (default 3)")
    parser.add_argument("--networks", choices=NETWORKS, default="plain", help="the plain command's, or width 64")
    parser.add_argument("--quick", action="store_true", help="one sweep of each kind with two short runs")
    options = parser.parse_args()
    runs, steps, repeats = (2, 20, 1) if options.quick else (options.runs, options.steps, options.repeats)
    machine = describe_machine(1)
    print(sentence(machine), flush=True)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    overheads: list[float] = []
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        for _ in range(repeats):
            for kind, taken in found.items():
                whole, trained = seconds(Path(place), kind, NETWORKS[options.networks], runs, steps)
                taken.append(whole)
                if kind == ONE:
                    overheads.append((whole - trained) / runs)
                print(f"{kind}: {whole:.1f} s, of which the runs trained {trained:.1f} s", flush=True)
    gains = {kind: statistics.median(found[kind]) / statistics.median(found[TWO]) for kind in (ONE, ONE_THREAD)}
    rows = [
        [f"{runs} runs of {steps} steps, {options.networks} networks", "median (quartiles)"],
        *([kind, f"{spread(taken, 1)} s"] for kind, taken in found.items()),
        ["beside its steps, a run takes", f"{spread(overheads, 2)} s"],
        *([f"two at a time instead of {kind}", f"{gain:.2f} times as fast"] for kind, gain in gains.items()),
    ]
    print(as_text(rows))
    name = f"sweeps-{options.networks}"
    save_results(name, {"machine": machine, "found": found, "overheads": overheads, "gains": gains})
    return 0


if __name__ == "__main__":
    sys.exit(main())
