"""`python -m benchmarks.speed.gpu.prove`: ten minutes on a machine with a CUDA GPU for all that a CPU can't show.

The tests that need a GPU, whole runs of the article in each way, and the table of `python -m benchmarks.speed.gpu`.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.tables import ROOT

STEPS = 6000
TESTS = ["-m", "pytest", "-q", "-p", "no:benchmark", "-p", "no:cacheprovider"]
TESTS += ["tests/training/acceleration/test_cuda.py", "tests/benchmarks/test_gpu.py"]


def whole_runs() -> None:
    """Logs, grids and checkpoints included; the last record has the images a second of the loop."""
    for fast_path in ("plain", "graph", "compiled", "compiled"):  # the second time the compiler's cache is warm
        with tempfile.TemporaryDirectory() as folder:
            words = ["experiment=article", "dataset=digits", "dataset.resize=28", f"steps={STEPS}", "device=cuda"]
            words += [f"fast_path={fast_path}", "display=plain", f"hydra.run.dir={folder}/run"]
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "gan_exp", "train", *words], text=True, capture_output=True)
            print(f"fast_path={fast_path}: {STEPS:,} steps, the whole command {time.perf_counter() - began:.1f} s")
            print("\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines() if "steps" in line))
            metrics = Path(folder, "run/metrics.jsonl")
            if metrics.exists():
                print(f"    last record: {metrics.read_text(encoding='utf-8').splitlines()[-1]}", flush=True)


def main() -> int:
    if not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to prove")
        return 2
    failed = subprocess.run([sys.executable, *TESTS], cwd=ROOT).returncode
    whole_runs()
    return failed or subprocess.run([sys.executable, "-m", "benchmarks.speed.gpu"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
