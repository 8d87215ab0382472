"""`python -m benchmarks.speed.sweeps`: what a sweep's runs cost beside their steps, and what two at a time gain.

A sweep of short runs on the digits is trained with one and with two runs at a time, alternately, each by the command
that a user starts. The overhead of a run is the sweep's time, one run at a time, without what the runs themselves say
that they trained, divided by the number of runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.report import save_results, spread
from benchmarks.speed.startup import GAN_EXP
from benchmarks.tables import as_text


def seconds(folder: Path, at_once: int, runs: int, steps: int) -> tuple[float, float]:
    """Of the whole sweep, and the sum of what its runs spent on training."""
    place = folder / f"{at_once}-at-once-{time.monotonic_ns()}"
    every = [f"{key}_every_steps={steps}" for key in ("log", "sample", "checkpoint")]
    words = [f"steps={steps}", *every, f"seed=range(0,{runs})", "device=cpu", "display=plain"]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    began = time.perf_counter()
    subprocess.run(
        [GAN_EXP, "train", "-m", "--jobs", str(at_once), *words, f"hydra.sweep.dir={place}"],
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
    parser.add_argument("--quick", action="store_true", help="one sweep of each kind with two short runs")
    options = parser.parse_args()
    runs, steps, repeats = (2, 20, 1) if options.quick else (options.runs, options.steps, options.repeats)
    machine = describe_machine(1)
    print(sentence(machine), flush=True)
    found: dict[int, list[float]] = {1: [], 2: []}
    overheads: list[float] = []
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        for _ in range(repeats):
            for at_once, taken in found.items():
                whole, trained = seconds(Path(place), at_once, runs, steps)
                taken.append(whole)
                if at_once == 1:
                    overheads.append((whole - trained) / runs)
                print(f"{at_once} at a time: {whole:.1f} s, of which the runs trained {trained:.1f} s", flush=True)
    gain = statistics.median(found[1]) / statistics.median(found[2])
    rows = [
        ["sweep", "median (quartiles)"],
        *([f"{runs} runs of {steps} steps, {n} at a time", f"{spread(found[n], 1)} s"] for n in found),
        ["beside its steps, a run takes", f"{spread(overheads, 2)} s"],
        ["two at a time instead of one", f"{gain:.2f} times as fast"],
    ]
    print(as_text(rows))
    save_results("sweeps", {"machine": machine, "found": found, "overheads": overheads, "gain": gain})
    return 0


if __name__ == "__main__":
    sys.exit(main())
