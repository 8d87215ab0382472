"""`python -m benchmarks.own_images`: a step of `experiment=folder_many` and those of two peers' networks, side by side.

One thread, 64x64 with transparency, batch 16, each in a process of its own, one after another, all repeated in turn.
gan-exp's step is that of a run: draws, augmentation, penalty and both updates, without logging and the average.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from benchmarks.machine import describe_machine, sentence
from benchmarks.own_images.peers import PEERS, parameters, steps
from benchmarks.tables import as_text

EQUAL = 0.25  # of the peers' widths: at most 256 channels at 4x4, as in the recipe
VARIANTS = ["ours", *(f"{name}@{share:g}" for name in PEERS for share in (1.0, EQUAL))]
IMAGES = 64


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_images", description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="timed steps per process (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="processes per network (default: 3)")
    parser.add_argument("--batch", type=int, default=16, help="images per batch (default: 16)")
    parser.add_argument("--quick", action="store_true", help="two steps, once: to see that all of them run")
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=["float32", "bf16"], help="of all networks (default: one after another)")
    options = parser.parse_args(words)
    if options.quick:
        options.steps, options.rounds = 2, 1
    if options.one:
        print(json.dumps(_measure(options.one, options.precision, options.steps, options.batch)))
        return
    print(sentence(describe_machine(1)), flush=True)
    rows = []
    for precision in [options.precision] if options.precision else ["float32", "bf16"]:
        results: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
        for _ in range(options.rounds):
            for variant in VARIANTS:
                results[variant].append(_in_process(variant, precision, options.steps, options.batch))
                print(f"{variant}, {precision}: {results[variant][-1]['step']:.3f} s", file=sys.stderr, flush=True)
        rows += [_row(variant, precision, found) for variant, found in results.items()]
    print(as_text([["network", "precision", "parameters (M)", "step (s)", "memory (MB)"], *rows]))


def _row(variant: str, precision: str, found: Sequence[dict[str, float]]) -> list[str]:
    name, _, share = variant.partition("@")
    label = (
        "folder_many" if name == "ours" else f"{name}, {'own widths' if share == '1' else 'a quarter of its widths'}"
    )
    step, memory = (median(result[key] for result in found) for key in ("step", "memory"))
    return [label, precision, f"{found[0]['parameters'] / 1e6:.2f}", f"{step:.3f}", f"{memory:.0f}"]


def _in_process(variant: str, precision: str, count: int, batch: int) -> dict[str, float]:
    words = ["--one", variant, "--precision", precision, "--steps", str(count), "--batch", str(batch)]
    command = [sys.executable, "-m", "benchmarks.own_images", *words]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def _measure(variant: str, precision: str, count: int, batch: int) -> dict[str, float]:
    """Seconds of the median step, and the peak of the process's memory in MB above what it had before."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        step, count_parameters, before = _steps_of(variant, precision, batch, Path(folder))
        seconds = []
        for _ in range(count + 2):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    return {"step": median(seconds[2:]), "memory": _peak() - before, "parameters": count_parameters}


def _steps_of(variant: str, precision: str, batch: int, folder: Path) -> tuple[Callable[[], object], int, float]:
    """A step, the number of parameters, and the memory before the networks were built."""
    if variant == "ours":
        return _ours(precision, batch, folder)
    name, _, share = variant.partition("@")
    before, count = _peak(), parameters(name, float(share))
    training: Iterator[None] = steps(name, float(share), batch, precision == "bf16")
    return lambda: next(training), count, before


def _ours(precision: str, batch: int, folder: Path) -> tuple[Callable[[], object], int, float]:
    from benchmarks.speed.ours import load_config
    from gan_exp.runtime.device import prepare_device
    from gan_exp.training.acceleration.choice import choose_step
    from gan_exp.training.assembly import build_inputs
    from gan_exp.training.build import build_data, build_state, build_step_config

    _noise(folder / "images")
    words = [f"dataset.root={folder}/images", f"dataset.cache={folder}/cache", f"device.precision={precision}"]
    config = load_config(["experiment=folder_many", "device=cpu", "device.threads=1", f"batch_size={batch}", *words])
    device = prepare_device(config.device)
    data = build_data(config, device)
    before = _peak()
    state = build_state(config, data.spec, device)
    networks = (state.generator, state.discriminator)
    step_config = build_step_config(config)
    inputs = build_inputs(config, data, step_config, device)
    step_fn, _ = choose_step(config.fast_path, state, step_config, device, warn=print)
    count = sum(value.numel() for network in networks for value in network.parameters())
    return lambda: step_fn(inputs.discriminator(state.step), inputs.generator(state.step)), count, before


def _noise(folder: Path) -> None:
    folder.mkdir()
    for number in range(IMAGES):
        pixels = torch.randint(256, (64, 64, 4), dtype=torch.uint8).numpy()
        Image.fromarray(pixels, "RGBA").save(folder / f"{number}.png")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
