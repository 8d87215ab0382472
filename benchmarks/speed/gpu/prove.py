"""`python -m benchmarks.speed.gpu.prove`: what only a CUDA GPU can show, as one table, in two minutes.

Each check has passed, failed, or was left out, with its seconds and what was found; targets are for an H100 or H200.
`--full` adds the longest ones; `--dry` takes all of them to the CPU, with narrow networks, and names what needs a GPU.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import torch

from benchmarks.speed.gpu.package import ARTICLE, DCGAN_64, R3GAN_CIFAR, R3GAN_DIFFERENCES, SNGAN_CIFAR
from benchmarks.speed.gpu.proofs import Failed, memory, penalty, rate, same, tests, whole_run

RUN = ("hydra", "omegaconf", "pydantic", "rich", "tensorboard")  # what `gan-exp train` imports
ANY = float("inf")  # GiB
SECONDS = 120.0  # for all checks but those of --full


class Check(NamedTuple):
    name: str
    run: Callable[[str], str]  # on a device; returns what was found, or raises Failed
    needs: float  # seconds on a GPU, about
    gpu: bool = False  # nothing of it can be done on a CPU
    packages: Sequence[str] = ()
    full: bool = False  # too long for two minutes with the others


def checks() -> list[Check]:
    """First what says whether the numbers are right, then the targets; those of --full last."""
    return [
        Check("R3GAN's penalty, float32 as float64", partial(penalty, "float32", 1e-4), 3),
        Check("R3GAN's penalty, bf16 as float64", partial(penalty, "bf16", 0.03), 1),
        Check("R3GAN, merged groups = single groups", partial(penalty, "float32", 1e-4, merged=4), 2),
        Check("article, captured = plain", partial(same, ARTICLE, "graph", "float32"), 4, gpu=True),
        Check("R3GAN, captured = plain", partial(same, R3GAN_CIFAR.narrow(), "graph", "float32"), 5, gpu=True),
        Check("SNGAN, captured = plain", partial(same, SNGAN_CIFAR.narrow(), "graph", "float32"), 5, gpu=True),
        Check("article, compiled = plain", partial(same, ARTICLE, "compiled", "float32"), 20, gpu=True),
        Check("DCGAN 64, memory counted as measured", partial(memory, DCGAN_64, "float32"), 3),
        Check("R3GAN, memory counted as measured", partial(memory, R3GAN_CIFAR, "bf16"), 8),
        Check("article, compiled: 2,400 steps/s", partial(rate, ARTICLE, "compiled", "float32", 2400, ANY), 8),
        Check("R3GAN CIFAR-10: 576 img/s in 6.9 GiB", partial(rate, R3GAN_CIFAR, "graph", "bf16", 9, 6.9), 20),
        Check("SNGAN CIFAR-10: 71.4 steps/s", partial(rate, SNGAN_CIFAR, "graph", "bf16", 71.4, ANY), 12),
        Check("finite differences: 960 img/s", partial(rate, R3GAN_DIFFERENCES, "graph", "bf16", 15, ANY), 12),
        Check(
            "SNGAN, compiled = plain", partial(same, SNGAN_CIFAR.narrow(), "compiled", "float32"), 40, True, full=True
        ),
        Check(
            "SNGAN, compiled: 71.4 steps/s", partial(rate, SNGAN_CIFAR, "compiled", "bf16", 71.4, ANY), 60, full=True
        ),
        Check("whole run of the article: 1.05 times the step", whole_run, 35, packages=RUN, full=True),
        Check("the GPU's tests", tests, 35, gpu=True, packages=(*RUN, "pytest"), full=True),
    ]


def verdict(check: Check, device: str, left: float) -> tuple[str, str]:
    """`passed`, `FAILED` or `left out`, and what was found."""
    missing = [name for name in check.packages if find_spec(name) is None]
    if missing:
        return "left out", f"needs {', '.join(missing)} (pip install 'gan-exp[dev]')"
    if device == "cpu" and check.gpu:
        return "left out", "needs a CUDA GPU"
    if check.needs > left:
        return "left out", f"needs about {check.needs:.0f} s, more than are left; raise --seconds"
    try:
        return "passed", check.run(device)
    except Failed as failure:
        return "FAILED", str(failure)
    except Exception as error:  # whatever a GPU's libraries raise: the other checks go on
        return "FAILED", f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"


def table(chosen: Sequence[Check], device: str, seconds: float, say: Callable[[str], None] = print) -> int:
    """Each line as soon as it is there; returns how many checks failed."""
    began, counts = time.perf_counter(), dict.fromkeys(("passed", "FAILED", "left out"), 0)
    for check in chosen:
        start = time.perf_counter()
        result, found = verdict(check, device, seconds - (start - began))
        counts[result] += 1
        say(f"  {result:<8}  {time.perf_counter() - start:6.1f} s  {check.name:<46}  {found}")
    said = ", ".join(f"{count} {result}" for result, count in counts.items())
    say(f"{said}, in {time.perf_counter() - began:.0f} s")
    return counts["FAILED"]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.gpu.prove", description=__doc__.splitlines()[0])
    parser.add_argument("--dry", action="store_true", help="on the CPU, with narrow networks")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what would take longer is left out")
    parser.add_argument("--full", action="store_true", help="the longest checks as well, however long all take")
    options = parser.parse_args(words)
    if not options.dry and not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to prove; --dry runs what a CPU can")
        return 2
    device = "cpu" if options.dry else "cuda"
    where = "the CPU, narrow networks" if options.dry else f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    print(f"{where}, torch {torch.__version__}", flush=True)
    every = options.dry or options.full
    chosen = [check for check in checks() if every or not check.full]
    failed = table(chosen, device, float("inf") if every else options.seconds, partial(print, flush=True))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
