"""`python -m benchmarks.speed.gpu.prove`: what only a CUDA GPU can show, as one table, in two minutes.

Each check has passed, failed, or was left out, with its seconds and what was found; targets are for an H100 or H200.
`--dry` takes the CPU and narrow networks, and names what needs a GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from benchmarks.speed.gpu.measure import measure, tidy
from benchmarks.speed.gpu.package import (
    ARTICLE,
    DCGAN_64,
    NAMES,
    R3GAN_CIFAR,
    R3GAN_DIFFERENCES,
    SNGAN_CIFAR,
    Recipe,
    Step,
)
from benchmarks.tables import ROOT
from gan_exp.data.packed import DataSpec
from gan_exp.runtime.device import full_float32
from gan_exp.training.memory import step_memory
from gan_exp.training.precision import Precision, computing_in

RUN = ("hydra", "omegaconf", "pydantic", "rich", "tensorboard")  # what `gan-exp train` imports
TESTS = ["-m", "pytest", "-q", "-x", "-p", "no:benchmark", "-p", "no:cacheprovider"]
TESTS += ["tests/training/acceleration/test_cuda.py"]
COMPARED = 12  # steps
ANY = float("inf")  # GiB


class Failed(Exception):
    """What was found instead."""


class Check(NamedTuple):
    name: str
    run: Callable[[str], str]  # on a device; returns what was found, or raises Failed
    needs: float  # seconds on a GPU, about
    gpu: bool = False  # nothing of it can be done on a CPU
    packages: Sequence[str] = ()


def checks() -> list[Check]:
    """First what says whether the numbers are right."""
    return [
        Check("R3GAN's penalty, float32 as float64", partial(penalty, "float32", 1e-4), 3),
        Check("R3GAN's penalty, bf16 as float64", partial(penalty, "bf16", 0.03), 1),
        Check("article, captured = plain", partial(same, ARTICLE, "graph", "float32"), 4, gpu=True),
        Check("R3GAN, captured = plain", partial(same, R3GAN_CIFAR.narrow(), "graph", "float32"), 5, gpu=True),
        Check("SNGAN, captured = plain", partial(same, SNGAN_CIFAR.narrow(), "graph", "float32"), 5, gpu=True),
        Check("article, compiled = plain", partial(same, ARTICLE, "compiled", "float32"), 20, gpu=True),
        Check("article, compiled: 2,400 steps/s", partial(rate, ARTICLE, "compiled", "float32", 2400, ANY), 8),
        Check("R3GAN CIFAR-10: 576 img/s in 6.9 GiB", partial(rate, R3GAN_CIFAR, "graph", "bf16", 9, 6.9), 20),
        Check("whole run of the article: 1.05 times the step", whole_run, 35, packages=RUN),
        Check("the GPU's tests", tests, 35, gpu=True, packages=(*RUN, "pytest")),
        Check("SNGAN CIFAR-10: 71.4 steps/s", partial(rate, SNGAN_CIFAR, "graph", "bf16", 71.4, ANY), 12),
        Check("memory, counted as measured", partial(memory, DCGAN_64), 3),
        Check("finite differences: 960 img/s", partial(rate, R3GAN_DIFFERENCES, "graph", "bf16", 15, ANY), 12),
    ]


def penalty(precision: str, within: float, device: str) -> str:
    """The gradient of R1 at R3GAN's weights, on the device, against the CPU's in float64."""
    found, wanted = (_penalty_gradient(*given) for given in ((device, torch.float32, precision), EXACT))
    error = float((found - wanted).norm() / wanted.norm())
    return _expect(error <= within, f"relative error {error:.1e}, at most {within:g}")


EXACT = ("cpu", torch.float64, "float32")


def _penalty_gradient(device: str, dtype: torch.dtype, precision: str) -> Tensor:
    _, network = R3GAN_CIFAR.narrow().networks("cpu")
    random = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # half of the layers begin with zero
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=random)
    network = network.to(device, dtype)
    images = torch.randn(8, 3, 16, 16, generator=random).to(device, dtype).requires_grad_()
    with full_float32():
        with computing_in(cast(Precision, precision), images.device):
            logits = network(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        gradients = torch.autograd.grad(gradient.square().sum(), list(network.parameters()), allow_unused=True)
    return torch.cat([each.flatten().double().cpu() for each in gradients if each is not None])


def same(recipe: Recipe, way: str, precision: str, device: str) -> str:
    """How far the weights are from those of plain steps, as a share of how far they have come."""
    ends = []
    for each in ("plain", way):
        step = Step(recipe, device, each, cast(Precision, precision))
        start = _weights(step)
        for _ in range(COMPARED):
            step()
        ends.append(_weights(step))
    plain, other = ends
    share = float((other - plain).norm() / (plain - start).norm())
    return _expect(share <= 0.05, f"after {COMPARED} steps {share:.1e} of the way apart, at most 0.05")


def _weights(step: Step) -> Tensor:
    """But no biases: one before BatchNorm has a gradient of rounding errors alone, of which Adam makes whole steps."""
    values = [value for network in step.state.networks.values() for value in network.parameters() if value.ndim > 1]
    return torch.cat([value.detach().flatten().double() for value in values])


def rate(recipe: Recipe, way: str, precision: str, least: float, gib: float, device: str) -> str:
    """Steps per second, at least so many, in at most so much memory."""
    if device == "cpu":
        recipe, way = recipe.narrow(), "plain"
    make = partial(Step, recipe, device, way, cast(Precision, precision))
    speed = measure(make, device, seconds=1.2 if device != "cpu" else 1e-3)
    per_second = 1 / speed.seconds
    images = per_second * recipe.batch * recipe.n_critic
    found = f"{per_second:,.1f} steps/s, {images:,.0f} img/s, {speed.memory_gib:.2f} GiB, {NAMES[way][0]}"
    if device == "cpu":
        return f"{found}; narrow, so that no target applies"
    return _expect(per_second >= least and speed.memory_gib <= gib, found)


def memory(recipe: Recipe, device: str) -> str:
    """What gan-exp would tell of a step's memory, against the GPU's own count."""
    if device == "cpu":
        recipe = recipe.narrow()
    tidy(device)
    step = Step(recipe, device, "plain")

    def optimizers(networks: dict[str, torch.nn.Module]) -> tuple[torch.optim.Optimizer, ...]:
        return tuple(recipe.optimizers(networks["generator"], networks["discriminator"], fused=False))

    spec = DataSpec(recipe.shape)
    counted = step_memory(step.state, recipe.config, spec, recipe.latent_dim, recipe.batch, optimizers).peak  # type: ignore[arg-type]
    assert counted is not None
    step()  # in which cuDNN searches
    if device == "cpu":
        return f"counted {counted / 2**20:,.1f} MiB; nothing to compare with"
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        step()
    measured = torch.cuda.max_memory_allocated() - recipe.noise(device).nbytes
    found = f"counted {counted / 2**20:,.0f} MiB, measured {measured / 2**20:,.0f}"
    return _expect(0.7 <= counted / measured <= 1.3, found)


def whole_run(device: str) -> str:
    """`gan-exp train` with logs, grids and checkpoints against the bare step; its first record has the compilation."""
    on_gpu = device != "cpu"
    words = ["steps=30000"] if on_gpu else ["steps=300", "fast_path=plain"]
    bare = measure(partial(Step, ARTICLE, device, "compiled" if on_gpu else "plain"), device).seconds
    with tempfile.TemporaryDirectory() as folder:
        words += ["experiment=article", "dataset=digits", "dataset.resize=28", "display=plain", f"device={device}"]
        command = [sys.executable, "-m", "gan_exp", "train", *words, f"hydra.run.dir={folder}/run"]
        done = subprocess.run(command, text=True, capture_output=True)
        whole = None if done.returncode else seconds_of(Path(folder, "run/metrics.jsonl"))
    if whole is None:
        raise Failed((done.stderr.strip() or done.stdout.strip() or "no rate").splitlines()[-1])
    found = f"{1 / whole:,.0f} steps/s, the bare step {1 / bare:,.0f}: {whole / bare:.3f} times its time"
    return found if not on_gpu else _expect(whole / bare <= 1.05, found)


def seconds_of(metrics: Path) -> float | None:
    """Of a step, over all records but the first, in whose time the step was compiled and captured."""
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    rated = [record for record in records if "progress/images_per_sec" in record]
    between = [(now["step"] - before["step"], now) for before, now in pairwise(rated)]
    if not between:
        return None
    spent = sum(steps * ARTICLE.batch / record["progress/images_per_sec"] for steps, record in between)
    return spent / sum(steps for steps, _ in between)


def tests(device: str) -> str:
    done = subprocess.run([sys.executable, *TESTS], cwd=ROOT, text=True, capture_output=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("FAILED") or " passed" in line]
    return _expect(done.returncode == 0, "; ".join(said) or done.stderr.strip()[-200:])


def _expect(holds: bool, found: str) -> str:
    if not holds:
        raise Failed(found)
    return found


def verdict(check: Check, device: str, left: float) -> tuple[str, str]:
    """`passed`, `FAILED` or `left out`, and what was found."""
    missing = [name for name in check.packages if find_spec(name) is None]
    if missing:
        return "left out", f"needs {', '.join(missing)} (pip install 'gan-exp[dev]')"
    if device == "cpu" and check.gpu:
        return "left out", "needs a CUDA GPU"
    if check.needs > left:
        return "left out", f"needs about {check.needs:.0f} s more than are left; raise --seconds"
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
    parser.add_argument("--seconds", type=float, default=150, help="what would take longer is left out")
    options = parser.parse_args(words)
    if not options.dry and not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to prove; --dry runs what a CPU can")
        return 2
    device = "cpu" if options.dry else "cuda"
    where = "the CPU, narrow networks" if options.dry else f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    print(f"{where}, torch {torch.__version__}", flush=True)
    seconds = float("inf") if options.dry else options.seconds
    failed = table(checks(), device, seconds, partial(print, flush=True))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
