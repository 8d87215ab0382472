"""This project's loops: the whole `gan-exp train` as a user starts it, and the training step alone."""

import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.speed.networks import check_folding
from benchmarks.speed.worker import Iterations, Serve
from gan_exp import cli
from gan_exp.config.catalog import conf_dir
from gan_exp.config.check import check
from gan_exp.config.hydra_support import register_resolvers
from gan_exp.config.schema import Config
from gan_exp.config.targets import trust
from gan_exp.runtime.device import prepare_device
from gan_exp.training.acceleration.choice import choose_step
from gan_exp.training.assembly import build_inputs
from gan_exp.training.build import build_data, build_state, build_step_config
from gan_exp.training.trainer import Trainer

CONF = Path(__file__).with_name("conf")
ENDLESS = "steps=100000000"


def whole_run(serve: Serve, threads: int, overrides: list[str]) -> None:
    """The command itself with its live display and checkpoints; the measurement asks for its steps in chunks.

    TensorBoard, metrics.jsonl, log, status, display, grids and checkpoints are what the configuration makes of them.
    """
    train_until = Trainer.train_until

    def train_when_asked(trainer: Trainer, last_step: int) -> None:
        live = trainer.log.display.live
        assert live or "display=quiet" in overrides, "the display must redraw as in a terminal"
        serve(lambda count: train_until(trainer, trainer.state.step + count))

    Trainer.train_until = train_when_asked  # type: ignore[method-assign]
    check_folding()
    words = [*overrides, ENDLESS, "device=cpu", f"device.threads={threads}", "hydra.run.dir=run"]
    sys.exit(cli.main(["train", "--config-dir", str(CONF), "--trust", "benchmarks", *words]))


def bare_step(serve: Serve, threads: int, overrides: list[str]) -> None:
    """Draws and a step's updates as in a run, nothing else: no trainer, no running means, no numbers read."""
    config = load_config([*overrides, "device=cpu", f"device.threads={threads}"])
    serve(bare_steps(config))


def bare_steps(config: Config) -> Iterations:
    device = prepare_device(config.device)
    data = build_data(config, device)
    state, step_config = build_state(config, data.spec, device), build_step_config(config)
    inputs = build_inputs(config, data, step_config, device)
    step_fn, _ = choose_step(config.fast_path, state, step_config, device, warn=print)

    def run(count: int) -> None:
        for _ in range(count):
            step_fn(inputs.discriminator(state.step), inputs.generator(state.step))

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
