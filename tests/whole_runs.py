"""Whole runs in tests: trained, interrupted, resumed and compared."""

import signal
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from builders import assert_same, in_each_step, read_lines
from gan_exp.config.schema import Config
from gan_exp.runs.checkpoint import load_checkpoint
from gan_exp.runs.run_dir import RunDir
from gan_exp.runtime.signals import Interrupted
from gan_exp.training.session import continue_run, start_run
from gan_exp.training.state import TrainingState

RHYTHM = ("steps=11", "log_every_steps=4", "sample_every_steps=3", "checkpoint_every_steps=5", "keep_checkpoints=3")


def train(config: Config, directory: Path | str, stops: Collection[int], monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Train in `directory`, interrupted by Ctrl-C in each step of `stops` and resumed each time."""

    def interrupt(state: TrainingState) -> None:
        if state.step + 1 in stops:
            signal.raise_signal(signal.SIGINT)

    undo = in_each_step(monkeypatch, interrupt)
    go_on: Callable[[], None] = lambda: start_run(config, str(directory))  # noqa: E731
    for stop in sorted(stops):
        with pytest.raises(Interrupted) as ended:
            go_on()
        assert ended.value.exit_code == 130
        run = RunDir.open(str(directory))
        status = run.read_status()
        assert (status["state"], status["step"], status["reason"]) == ("interrupted", stop, "SIGINT")
        go_on = lambda: locked_continue(config, run)  # noqa: E731, B023
    undo()
    go_on()
    run = RunDir.open(str(directory))
    assert run.read_status()["state"] == "finished"
    return run


def locked_continue(config: Config, run: RunDir) -> None:
    with run.locked():
        continue_run(config, run)


def assert_same_run(first: RunDir, second: RunDir) -> None:
    """Checkpoint, metrics and pictures, bit by bit."""
    step, newest = first.list_checkpoints()[-1]
    assert second.list_checkpoints()[-1][0] == step
    assert_same(load_checkpoint(newest), load_checkpoint(second.checkpoint(step)))
    lines, others = read_lines(first.metrics), read_lines(second.metrics)
    for line in (*lines, *others):
        assert line.pop("progress/images_per_sec", 1) > 0
    assert lines == others
    grids = [path for _, path in first.list_sample_grids()]
    assert [path.name for path in grids] == [path.name for _, path in second.list_sample_grids()]
    for path in (*grids, first.animation):
        assert path.read_bytes() == (second.samples / path.name).read_bytes(), path.name


RECIPES = [
    ("mlp", "penalty=r1", "schedule=cosine"),
    ("mlp", "sampling=with_replacement", "split_updates=true", "inference_fakes=true", "optimizer=keras_adam"),
    ("mlp", "n_critic=2", "schedule=linear", "optimizer=rmsprop", "ema_halflife_kimg=0", "batch_size=200"),
    ("dcgan", "n_critic=2", "penalty=r1", "schedule=cosine", "ema_halflife_kimg=0.05"),
    (
        "dcgan",
        "sampling=with_replacement",
        "loss=hinge",
        "optimizer=adamw",
        "dataset.resize=[9,12]",
        "dataset.mirror=true",
    ),
    ("dcgan", "loss=minimax", "optimizer=sgd", "lr=0.02", "split_updates=true"),
    ("mlp", "loss=lsgan", "conditional=true", "ema_halflife_kimg=0.05"),
    ("mlp", "augment=ada", "augment.every=2", "augment.images_to_one=200", "instance_noise=0.1", "n_critic=2"),
    ("r3gan", "loss=rpgan", "penalty=r1_r2", "schedule=r3gan", "conditional=true", "augment=diffaugment"),
    ("fastgan", "loss=hinge", "augment=diffaugment", "conditional=true"),
    ("dcgan", "augment=pipeline", "schedule=augment_ramp", "augment.p=0.9", "loss=rpgan"),
    ("mlp", "pac=2", "loss=wgan", "loss.clip=0.05", "n_critic=3", "optimizer=rmsprop"),
    ("resnet", "spectral_norm=true", "loss=hinge", "conditional=true", "n_critic=2"),
    ("mlp", "penalty=wgan_gp", "penalty.every=3", "n_critic=2", "loss=rpgan"),
    ("mlp", "penalty=dragan", "penalty.every=4", "schedule=cosine", "loss.label_smoothing=0.1"),
    ("points", "dataset=ring", "dataset.count=500", "pac=2", "loss=rpgan", "penalty=r1_r2_fd", "latent_dim=2"),
]


def read_events(run: RunDir) -> EventAccumulator:
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    accumulator = EventAccumulator(str(run.tensorboard), size_guidance=everything)
    accumulator.Reload()
    return accumulator


SCALARS = {
    "loss/discriminator",
    "loss/generator",
    "accuracy/discriminator",
    "accuracy/real",
    "accuracy/fake",
    "penalty/r1",
    "gradient_norm/discriminator",
    "gradient_norm/generator",
    "gradient_norm_max/discriminator",
    "gradient_norm_max/generator",
    "learning_rate/discriminator",
    "learning_rate/generator",
    "progress/images_per_sec",
    "progress/kimg",
}
BALANCE = {"loss_balance/discriminator", "loss_balance/generator"}
SAMPLES = ("spread", "distance", "variety", "classes", "duplicates", "copies", "change", "texture")
EVIDENCE = {f"samples/{name}" for name in SAMPLES}  # of each grid
