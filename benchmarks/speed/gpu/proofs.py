"""What each check of `prove` does, on a device: it returns what was found, or raises Failed."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from benchmarks.speed.gpu.measure import measure, tidy
from benchmarks.speed.gpu.package import ARTICLE, NAMES, R3GAN_CIFAR, Recipe, Step
from benchmarks.tables import ROOT
from gan_exp.data.packed import DataSpec
from gan_exp.models.merging import grouped_layers, merge_groups
from gan_exp.runtime.device import full_float32
from gan_exp.training.memory import step_memory
from gan_exp.training.precision import Precision, computing_in

TESTS = ["-m", "pytest", "-q", "-x", "-p", "no:benchmark", "-p", "no:cacheprovider"]
TESTS += ["tests/training/acceleration/test_cuda.py"]
COMPARED = 12  # steps


class Failed(Exception):
    """What was found instead."""


def penalty(precision: str, within: float, device: str, merged: int = 1) -> str:
    """The gradient of R1 at R3GAN's weights, on the device, against the CPU's in float64; `merged`: so many groups."""
    found = _penalty_gradient(device, torch.float32, precision, merged)
    wanted = _penalty_gradient("cpu", torch.float64, "float32")
    error = float((found - wanted).norm() / wanted.norm())
    return _expect(error <= within, f"relative error {error:.1e}, at most {within:g}")


def _penalty_gradient(device: str, dtype: torch.dtype, precision: str, merged: int = 1) -> Tensor:
    _, network = R3GAN_CIFAR.narrow().networks("cpu")
    merge_groups([network], {layer.shape.name: merged for layer in grouped_layers([network])})
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


def memory(recipe: Recipe, precision: str, device: str) -> str:
    """What gan-exp would tell of a step's memory, against the GPU's own count."""
    if device == "cpu":
        recipe = recipe.narrow()
    tidy(device)
    step = Step(recipe, device, "plain", cast(Precision, precision))

    def optimizers(networks: dict[str, torch.nn.Module]) -> tuple[torch.optim.Optimizer, ...]:
        return tuple(recipe.optimizers(networks["generator"], networks["discriminator"], fused=False))

    spec, config = DataSpec(recipe.shape), replace(recipe.config, precision=cast(Precision, precision))
    counted = step_memory(
        *(step.state, config, spec, recipe.latent_dim, recipe.batch, optimizers),  # type: ignore[arg-type]
        kind=torch.device(device).type,
    ).peak
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
