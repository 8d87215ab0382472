"""`python -m benchmarks.speed.gpu.prove`: ten minutes on a machine with a CUDA GPU for all that a CPU can't show.

The tests that need a GPU, whole runs of the article in each way, and the table of `python -m benchmarks.speed.gpu`.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.speed.gpu.measure import measure, set_precision
from benchmarks.speed.gpu.package import ARTICLE, step_of
from benchmarks.tables import ROOT

STEPS = 6000
TESTS = ["-m", "pytest", "-q", "-p", "no:benchmark", "-p", "no:cacheprovider"]
TESTS += ["tests/training/acceleration/test_cuda.py", "tests/benchmarks/test_gpu.py"]


def whole_run(folder: Path, fast_path: str, steps: int = STEPS, *words: str) -> float | None:
    """Seconds of a step in the loop of a run, grids, logs and checkpoints included; None if the run failed."""
    chosen = ["experiment=article", "dataset=digits", "dataset.resize=28", f"steps={steps}", f"fast_path={fast_path}"]
    began = time.perf_counter()
    command = [sys.executable, "-m", "gan_exp", "train", *chosen, *words, "display=plain", f"hydra.run.dir={folder}"]
    done = subprocess.run(command, text=True, capture_output=True)
    said = (done.stdout + done.stderr).splitlines()
    print(f"fast_path={fast_path}: {steps:,} steps, the whole command {time.perf_counter() - began:.1f} s")
    print("\n".join(f"    {line}" for line in said if "steps" in line or done.returncode), flush=True)
    return None if done.returncode else seconds_of(folder / "metrics.jsonl")


def seconds_of(metrics: Path) -> float | None:
    """Of a step, over all records but the first, in whose time the step was compiled and captured."""
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    rated = [record for record in records if "progress/images_per_sec" in record]
    between = [(now["step"] - before["step"], now) for before, now in pairwise(rated)]
    if not between:
        return None
    spent = sum(steps * ARTICLE.batch / record["progress/images_per_sec"] for steps, record in between)
    return spent / sum(steps for steps, _ in between)


def ratio(label: str, whole: float | None, bare: float) -> str:
    if whole is None:
        return f"{label}: no rate, so no ratio to the bare captured step"
    return (
        f"{label}: {1 / whole:,.0f} steps/s, the bare captured step {1 / bare:,.0f}: {whole / bare:.3f} times its time"
    )


def whole_runs() -> None:
    set_precision("float32")
    bare = measure(lambda: step_of(ARTICLE, "cuda", captured=True), "cuda").seconds
    for fast_path in ("plain", "graph", "compiled", "compiled"):  # the second time the compiler's cache is warm
        with tempfile.TemporaryDirectory() as folder:
            whole = whole_run(Path(folder, "run"), fast_path, STEPS, "device=cuda")
        print(f"    {ratio('whole run', whole, bare)}", flush=True)


def main() -> int:
    if not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to prove")
        return 2
    failed = subprocess.run([sys.executable, *TESTS], cwd=ROOT).returncode
    whole_runs()
    return failed or subprocess.run([sys.executable, "-m", "benchmarks.speed.gpu"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
