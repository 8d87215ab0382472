"""`python -m benchmarks.speed.gpu`: steps on a CUDA GPU, kernel by kernel and captured, and the article's whole run.

The steps are the trainer's own, with draws, windows and averages; both players of a recipe take turns in one process.
The images are noise on the GPU: what they show costs nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.machine import describe_machine, sentence
from benchmarks.speed.data import mnist_folder
from benchmarks.speed.ours import load_config
from benchmarks.speed.report import save_results, spread, write_section
from benchmarks.speed.startup import GAN_EXP, write_mnist
from benchmarks.tables import Table, as_markdown, as_text
from gan_exp.config.schema import Config
from gan_exp.data.packed import PackedImages
from gan_exp.display.live import Display
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.device import prepare_device
from gan_exp.training.acceleration.captured import CapturedStep, unfit
from gan_exp.training.assembly import make_trainer
from gan_exp.training.build import build_state, build_step_config
from gan_exp.training.trainer import Trainer

IMAGES = 20_000
R3GAN = ("model=r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "optimizer.generator.betas=[0.0,0.9]")
RECIPES: dict[str, tuple[tuple[int, int, int], tuple[str, ...]]] = {
    "article, MLP, 28x28, batch 32": ((1, 28, 28), ("experiment=article", "dataset=bench_digits")),
    "DCGAN, 64x64 RGB, batch 64": ((3, 64, 64), ("model=dcgan", "batch_size=64")),
    "R3GAN, 32x32 RGB, batch 64": ((3, 32, 32), (*R3GAN, "batch_size=64")),
}
CHUNK_SECONDS = 2.0
WARM_UP_STEPS = 50


def trainer_of(shape: tuple[int, int, int], config: Config, folder: Path, captured: bool) -> Trainer:
    """Raises ValueError where the recipe can't be captured."""
    device = prepare_device(config.device)
    images = torch.randint(256, (IMAGES, *shape), dtype=torch.uint8, device=device)
    data = PackedImages(images, known_digest="noise")
    state = build_state(config, data.spec, device)
    run = RunDir.create(folder, config.model_dump(mode="json"), {})
    with Display("quiet", run.log, "", 1) as display:
        trainer = make_trainer(config, run, state, data, device, display)
    if captured:
        scheduled = config.schedule.beta2 is not None
        reason = unfit(state, device, scheduled)
        if reason is not None:
            raise ValueError(reason)
        trainer.step_fn = CapturedStep(state, build_step_config(config), device, scheduled, _refuse)
    return trainer


def _refuse(reason: str) -> None:
    raise ValueError(reason)


def per_second(trainer: Trainer, steps: int) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        trainer._train_step()
    torch.cuda.synchronize()
    return steps / (time.perf_counter() - began)


def measure_recipe(name: str, rounds: int, seconds: float, words: list[str]) -> dict[str, list[float]]:
    """Steps a second of each round, by step_fn; interleaved."""
    shape, overrides = RECIPES[name]
    config = load_config([*overrides, "fast_path=plain", *words])
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        trainers = {
            how: trainer_of(shape, config, Path(place) / how, how == "captured") for how in ("eager", "captured")
        }
        steps = {}
        for how, trainer in trainers.items():
            per_second(trainer, WARM_UP_STEPS)
            steps[how] = max(20, round(seconds * per_second(trainer, WARM_UP_STEPS)))
        found: dict[str, list[float]] = {how: [] for how in trainers}
        for _ in range(rounds):
            for how, trainer in trainers.items():
                found[how].append(per_second(trainer, steps[how]))
        for trainer in trainers.values():
            trainer.log.close()
    return found


def whole_runs(root: str | None, repeats: int, steps: int, words: list[str]) -> dict[str, list[float]]:
    """Seconds of `gan-exp train experiment=article`: of the loop, and of the whole command with its start."""
    found: dict[str, list[float]] = {"training": [], "the whole command": []}
    with tempfile.TemporaryDirectory(prefix="gan-exp-bench-") as place:
        folder = Path(place)
        if root is None:
            write_mnist(folder / "data")
        environment = {**os.environ, "GAN_EXP_DATA": root or str(folder / "data")}
        for number in range(repeats):
            run = ["train", "experiment=article", f"steps={steps}", f"hydra.run.dir=run-{number}", *words]
            began = time.perf_counter()
            subprocess.run([GAN_EXP, *run], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            found["the whole command"].append(time.perf_counter() - began)
            status = json.loads((folder / f"run-{number}" / "status.json").read_text(encoding="utf-8"))
            found["training"].append(status["train_seconds"])
    return found


def steps_table(found: dict[str, dict[str, list[float]]]) -> Table:
    rows = [["recipe", "eager, steps/s", "captured, steps/s", "times as fast"]]
    for name, players in found.items():
        ratios = [fast / slow for fast, slow in zip(players["captured"], players["eager"], strict=True)]
        rows.append([name, spread(players["eager"], 0), spread(players["captured"], 0), spread(ratios)])
    return rows


def main() -> int:
    options = _options()
    if not torch.cuda.is_available():
        print("no CUDA GPU can be used here, so there is nothing to measure; `make bench` measures the CPU")
        return 2
    rounds, repeats, steps, seconds = options.rounds, options.repeats, options.steps, CHUNK_SECONDS
    if options.quick:
        rounds, repeats, steps, seconds = 1, 1, 1000, 0.2
    machine = describe_machine(torch.get_num_threads())
    arithmetic = "TF32" if options.tf32 else "float32"
    where = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, {arithmetic}; {sentence(machine)}"
    print(where, flush=True)
    words = ["device=cuda", f"device.tf32={str(options.tf32).lower()}"]
    found = {name: measure_recipe(name, rounds, seconds, words) for name in RECIPES}
    rows = steps_table(found)
    print(as_text(rows), flush=True)
    runs = whole_runs(options.data, repeats, steps, words)
    run_rows = [[f"the article, {steps:,} steps", "seconds"]]
    run_rows += [[name, spread(values)] for name, values in runs.items()]
    print(as_text(run_rows))
    save_results("gpu", {"machine": machine, "gpu": where, "steps": found, "runs": runs})
    if options.docs:
        text = f"{as_markdown(rows)}\n\n{as_markdown(run_rows)}\n\n"
        write_section("GPU", f"{text}Medians (quartiles) of {rounds} rounds, of {repeats} runs. {where}.")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=3, help="of the whole run")
    parser.add_argument("--steps", type=int, default=30_000, help="of the whole run")
    parser.add_argument("--tf32", action="store_true", help="with device.tf32=true")
    parser.add_argument("--data", type=mnist_folder, help="the folder that holds MNIST/raw; drawn strokes without it")
    parser.add_argument("--quick", action="store_true", help="each once and short: to see that it runs")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
