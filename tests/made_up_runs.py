"""Directories of runs and sweeps that were never trained, written in milliseconds."""

import io
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import written_runs
from gan_exp.config.plain_yaml import yaml_text
from gan_exp.runs.run_dir import RunDir


def write_run(
    place: Path,
    *words: str,
    records: Iterable[Mapping[str, float]] = (),
    grids: Sequence[int] = (),
    side: int = 40,
    command: Sequence[str] | None = None,
    **more: Any,
) -> RunDir:
    """A run with curves and grids; `more` is of `written_runs.write_run`."""
    run = written_runs.write_run(place, *words, **more)
    environment = {
        "gan_exp": "0.1.0",
        "python": "3.11.7",
        "command": list(words if command is None else command),
        "packages": {"torch": "2.14.1"},
        "device": "CPU, 1 thread",
        "git": {"commit": "0123abcd", "changed_files": 2},
    }
    run.environment.write_text(json.dumps(environment))
    run.log.write_text("the log\n")
    if lines := [json.dumps(record) + "\n" for record in records]:
        run.metrics.write_text("".join(lines))
    run.make_folders()
    for number, at in enumerate(grids):
        run.sample_grid(at).write_bytes(_picture(number, side))
    return run


@cache
def _picture(number: int, side: int) -> bytes:
    """A PNG about as hard to compress as a grid of drawings."""
    coarse = np.random.default_rng(number).integers(0, 256, (side // 4, side // 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def curves(seed: int, steps: int, every: int, level: float = 1.0, until: float = math.inf) -> list[dict[str, float]]:
    """Losses, accuracies and scores like those of a training."""
    rng = random.Random(seed)
    records: list[dict[str, float]] = []
    for step in range(every, steps + 1, every):
        if step > until:
            break
        noise, progress = rng.gauss(0, 0.05), step / steps
        records.append({
            "step": step,
            "loss/generator": 0.7 + level * math.exp(-3 * progress) + noise,
            "loss/discriminator": 1.38 - 0.4 * level * math.exp(-2 * progress) + rng.gauss(0, 0.03),
            "accuracy/real": 0.6 + noise,
            "accuracy/fake": 0.55 - noise,
            "gradient_norm/generator": 1 + abs(noise),
            "gradient_norm/discriminator": 2 + abs(noise),
            "learning_rate/generator": 2e-4,
            "progress/kimg": step * 0.064,
        })  # fmt: skip
        if step % (steps // 4) == 0:
            records.append({
                "step": step,
                "evaluation/fid_cnn": level * (0.3 + 3 * math.exp(-3 * progress)) + abs(noise),
                "evaluation/coverage_cnn": min(1, 0.9 * progress / level + abs(noise)),
            })  # fmt: skip
    return records


def write_sweep(
    place: Path,
    learning_rates: Sequence[str] = ("1e-4", "2e-4"),
    models: Sequence[str] = ("mlp", "dcgan"),
    seeds: int = 3,
    steps: int = 1000,
    every: int = 50,
    grids: Sequence[int] = (0, 500, 1000),
    failed: Sequence[int] = (),
    side: int = 40,
) -> Path:
    """A sweep of all combinations; the runs with the numbers `failed` diverged at a third of the steps."""
    place.mkdir(parents=True)
    task = [f"lr={','.join(learning_rates)}", f"model={','.join(models)}", f"seed=range(0,{seeds})"]
    (place / "multirun.yaml").write_text(yaml_text({"hydra": {"overrides": {"task": task}}}))
    number = 0
    for a, lr in enumerate(learning_rates):
        for b, model in enumerate(models):
            for seed in range(seeds):
                lost = number in failed
                until = steps // 3 if lost else steps
                write_run(
                    place / f"{number}-lr={lr},model={model},seed={seed}",
                    f"model={model}", f"steps={steps}", "batch_size=64", "evaluate_every_steps=250",
                    config={"seed": seed, "lr": float(lr)},
                    records=curves(number, steps, every, level=0.6 + 0.35 * a + 0.2 * b, until=until),
                    grids=[at for at in grids if at <= until],
                    side=side,
                    state="failed" if lost else "finished",
                    step=until,
                    metrics=None,
                    reason=f"step {until}: loss/generator is nan: the run diverged. Likely cause: lr" if lost else None,
                    command=[f"lr={lr}", f"model={model}", f"seed={seed}"],
                )  # fmt: skip
                number += 1
    return place
