"""This project's loops: the whole `gan-exp train` as a user starts it, and the training step alone."""

import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.speed.networks import check_folding
from benchmarks.speed.worker import Iterations, Serve
from gan_exp import cli
from gan_exp.commands.train import trust
from gan_exp.config.catalog import conf_dir
from gan_exp.config.check import check
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.config.schema import Config
from gan_exp.runtime.device import prepare_device
from gan_exp.runtime.randomness import Streams
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.build import build_batches, build_data, build_state, build_step_config
from gan_exp.training.step import UpdateInputs
from gan_exp.training.trainer import Trainer

CONF = Path(__file__).with_name("conf")
ENDLESS = "steps=100000000"


def whole_run(serve: Serve, threads: int, overrides: list[str]) -> None:
    """The command itself with its live display and checkpoints; the measurement asks for its steps in chunks.

    TensorBoard, metrics.jsonl, log, status, display, grids and checkpoints are what the configuration makes of them.
    """
    play = Trainer.play

    def play_when_asked(trainer: Trainer, until: int) -> None:
        assert trainer.display.live or "display=quiet" in overrides, "the display must redraw as in a terminal"
        serve(lambda count: play(trainer, trainer.state.step + count))

    Trainer.play = play_when_asked  # type: ignore[method-assign]
    check_folding()
    words = [*overrides, ENDLESS, "device=cpu", f"device.threads={threads}", "hydra.run.dir=run"]
    sys.exit(cli.main(["train", "--config-dir", str(CONF), "--trust", "benchmarks", *words]))


def bare_step(serve: Serve, threads: int, overrides: list[str]) -> None:
    """Batches, latents and updates as in a run, and nothing else: no trainer, no running means, no numbers read."""
    config = load_config([*overrides, "device=cpu", f"device.threads={threads}"])
    serve(bare_steps(config))


def bare_steps(config: Config) -> Iterations:
    device = prepare_device(config.device)
    data = build_data(config, device)
    state, step_config = build_state(config, data.spec, device), build_step_config(config)
    batches, streams = build_batches(config, data), Streams(config.seed, device)
    play, _ = choose_step(config, state, step_config, device, print)

    def latents(stream: str) -> torch.Tensor:
        return streams.latents(state.step, stream, config.batch_size, config.latent_dim)

    def run(count: int) -> None:
        for _ in range(count):
            play(
                [UpdateInputs(latents("discriminator/0"), batches.draw(state.step))], UpdateInputs(latents("generator"))
            )

    return run


def load_config(overrides: list[str]) -> Config:
    """The configuration of `gan-exp train` with the same overrides."""
    register_resolvers()
    trust(["benchmarks"])
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", [f"hydra.searchpath=[file://{CONF}]", ENDLESS, *overrides])
    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    return check({str(key): value for key, value in plain.items()})
