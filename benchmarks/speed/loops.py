"""`make bench`: interleaved rounds of our whole loop, our bare step and the peer's loop on the same networks and data.

Only ratios taken in one run mean anything on a machine that others use: each round runs all three one after the other.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.speed import peer
from gan_exp.build import build_batches, build_data, build_rules, build_state
from gan_exp.catalog import conf_dir
from gan_exp.config import Config, check
from gan_exp.device import prepare_device
from gan_exp.hydra_support import register_resolvers
from gan_exp.monitor.display import Display
from gan_exp.run_dir import RunDir
from gan_exp.step import discriminator_step, generator_step
from gan_exp.streams import Streams
from gan_exp.trainer import Trainer

Iterations = Callable[[int], None]


def load_config(batch_size: int) -> Config:
    """Our recipe with the peer's networks, batch and one D update; the digits enlarged to MNIST's size."""
    register_resolvers()
    overrides = [
        "dataset.resize=28", f"batch_size={batch_size}", "steps=1000000", "ema_halflife_kimg=0", "display=plain",
        "device=cpu", "log_every_steps=100", "sample_every_steps=400", "checkpoint_every_steps=1000",
        f"model.generator.widths={list(peer.WIDTHS)}",
    ]  # fmt: skip
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", overrides), resolve=True)
    plain.pop("experiment", None)
    return check(plain)


def bare_step(batch_size: int, folder: Path) -> Iterations:
    """Nothing but draws and updates: what the loop is measured against."""
    config = load_config(batch_size)
    device = prepare_device(config.device)
    data = build_data(config, device)
    state, rules, batches = (
        build_state(config, data.spec, device),
        build_rules(config),
        build_batches(config, data),
    )
    streams = Streams(config.seed)

    def run(count: int) -> None:
        for _ in range(count):
            latents = streams.latents(state.step, "discriminator/0", config.batch_size, config.latent_dim)
            discriminator_step(state, rules, batches.draw(state.step), latents)
            latents = streams.latents(state.step, "generator", config.batch_size, config.latent_dim)
            generator_step(state, rules, latents)
            state.step += 1

    return run


def whole_loop(batch_size: int, folder: Path) -> Iterations:
    """The trainer with everything it writes."""
    config = load_config(batch_size)
    device = prepare_device(config.device)
    data = build_data(config, device)
    run_dir = RunDir.create(folder / "run", config.model_dump(), {})
    display = Display("quiet", run_dir.log, "bench", config.steps)
    trainer = Trainer(config, run_dir, build_state(config, data.spec, device), data, device, display)
    display.start(0)

    def run(count: int) -> None:
        trainer.play(until=trainer.state.step + count)

    return run


def peer_loop(batch_size: int, folder: Path) -> Iterations:
    data = build_data(load_config(batch_size), torch.device("cpu"))
    loop: Iterator[None] = peer.iterations(data.images.squeeze(1).numpy(), batch_size, folder)

    def run(count: int) -> None:
        for _ in range(count):
            next(loop)

    return run


LOOPS = {"peer": peer_loop, "bare step": bare_step, "whole loop": whole_loop}


def work(name: str, batch_size: int, folder: Path, pipe: Connection) -> None:
    """One loop in a process of its own, so that no setting of one (allocator, threads) reaches another."""
    os.chdir(folder)
    run = LOOPS[name](batch_size, folder)
    while (count := pipe.recv()) > 0:
        began = time.perf_counter()
        run(count)
        pipe.send((time.perf_counter() - began) / count * 1000)


def measure(batch_size: int, rounds: int, count: int) -> dict[str, list[float]]:
    """Milliseconds an iteration, one value a round each; only one process works at any time."""
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in LOOPS}
    with tempfile.TemporaryDirectory() as folder:
        pipes = {}
        for name in LOOPS:
            place = Path(folder) / name.replace(" ", "_")
            place.mkdir()
            pipes[name], theirs = context.Pipe()
            context.Process(target=work, args=(name, batch_size, place, theirs), daemon=True).start()
        for number in range(rounds + 1):
            for name, pipe in pipes.items():
                pipe.send(count)
                value = pipe.recv()
                if number > 0:  # the first round warms up
                    times[name].append(value)
        for pipe in pipes.values():
            pipe.send(0)
    return times


def report(times: dict[str, list[float]], against: str) -> None:
    print(f"  {'':<12}{'median ms':>10}{'quartiles':>18}{f'x {against}':>14}")
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        ratios = [other / own for other, own in zip(times[against], values, strict=True)]
        print(f"  {name:<12}{middle:>10.2f}{f'{low:.2f} - {high:.2f}':>18}{statistics.median(ratios):>14.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="more for a steadier median (default 9)")
    parser.add_argument("--count", type=int, default=200, help="iterations of each loop in a round (default 200)")
    options = parser.parse_args()
    print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads, ", end="")
    print(f"load {os.getloadavg()[0]:.1f} before the start, {options.rounds} rounds of {options.count} iterations")
    for batch_size in (32, 64):
        print(f"\nMLP {'-'.join(map(str, peer.WIDTHS))}, 28x28, batch {batch_size}", flush=True)
        report(measure(batch_size, options.rounds, options.count), "peer")
